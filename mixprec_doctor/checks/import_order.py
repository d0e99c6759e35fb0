"""MP207: the imports of the code end in a circle, because of their order."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.rehearsal import StopKind
from mixprec_doctor.usercode.order import first_import_that_helps


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    stop = code.stop.root if code is not None and code.stop is not None else None
    if code is None or stop is None or stop.kind is not StopKind.CIRCULAR:
        return
    module, _, name = stop.wanted.rpartition(".")
    package = module.partition(".")[0]
    helping = first_import_that_helps(code, stop)
    remedy = Remedy(
        text=f"nothing is wrong with the installation or with the name: import {helping} before it",
        commands=(f"import {helping}",),
    )
    yield Finding(
        code="MP207",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"a circular import: {module} and {stop.asker} import each other, and {module} must not come first",
        cause=(
            f"{module} is only half loaded when {stop.asker} asks it for {name}, which it binds further down; imported "
            "in another order both load"
            if helping
            else f"{module} is only half loaded when {stop.asker} asks it for {name}, which it binds further down"
        ),
        evidence=code.way_to(stop),
        remedy=remedy if helping else None,
        subjects=(module, stop.asker),
    )


CHECK = Check(
    code="MP207",
    title="An import order that closes a circle",
    promise="The code imports first what another module of the package has to import before it.",
    explanation=(
        "Only with `--code`. The imports are rehearsed in the order in which Python would run them, with what each "
        "module has bound by then. A name that a half-loaded module is asked for is there, but not yet. Which import "
        "mends it, put first, is found out by rehearsing it."
    ),
    example=(
        "`from sglang.srt.layers.linear import UnquantizedLinearMethod` as the first import with SGLang 0.4.7: the "
        "quantization package imports `LinearBase` back from it."
    ),
    cure="Import the module that the finding names before the others.",
    find=_find,
    about_code=True,
)
