"""MP209: a module on the way of the code's imports raises an exception of its own."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.lending import lender_remedy
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.lenders import Avoid
from mixprec_doctor.rehearsal import SERVERS, Stop, StopKind
from mixprec_doctor.resolving.borrowing import Borrowed, borrowed_names
from mixprec_doctor.resolving.registrations import config_names
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.code import MAIN


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    stop = code.stop if code is not None else None
    if code is None or stop is None or stop.root.kind is not StopKind.RAISED or stop.root.asker == MAIN:
        return  # what the lines raise themselves, they mean
    root = stop.root
    package = root.asker.partition(".")[0]
    yield Finding(
        code="MP209",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"importing this ends in {root.exception}: {root.text}",
        cause=f"{root.asker} raises it while it is imported",
        evidence=code.way_to(root),
        remedy=_remedy(root, patient, code),
        subjects=(root.asker,),
    )


def _remedy(stop: Stop, patient: Patient, code: UserCode) -> Remedy:
    package = stop.asker.partition(".")[0]
    if stop.requirement is not None:
        return Remedy(
            text=f"install what {package} demands of it",
            commands=(f"{installer(patient.environment)} install '{stop.requirement}'",),
        )
    if stop.registered is None and (unmet := _unmet(package, patient)):
        return Remedy(
            text=f"install what {package} asks for in its own metadata",
            commands=(f"{installer(patient.environment)} install {unmet}",),
        )
    if stop.registered is None:
        return Remedy(text="see the condition around that line: it says what the module wants")
    borrowed = _borrowed(stop, code)
    if not borrowed:
        return Remedy(
            text=f"the installed transformers brings {stop.registered} itself: take a release of {package} made for "
            f"it, or the release of transformers that {package} was made for"
        )
    avoid = Avoid(package=stop.asker.rpartition(".")[0], taken=config_names(code.exports.sources))
    return lender_remedy(borrowed, package, patient, avoid=avoid)


def _unmet(package: str, patient: Patient) -> str:
    """What the distribution of a package requires in vain, as pip takes it."""
    owner = next(iter(patient.environment.owners(package)), None)
    judged = judge_requirements(owner, patient.environment) if owner is not None else ()
    return " ".join(
        f"'{each.requirement.name}{each.requirement.specifier}'" for each in judged if each.verdict is not Verdict.MET
    )


def _borrowed(stop: Stop, code: UserCode) -> tuple[Borrowed, ...]:
    """What another engine takes from the one that fails, in the module whose import begins it."""
    package = stop.asker.partition(".")[0]
    for step in stop.trail:
        top = step.module.partition(".")[0]
        if top in SERVERS and top != package:
            last = step.module
            names = borrowed_names(code.exports, top, package, among=(last,))
            if names:
                return names
    return ()


CHECK = Check(
    code="MP209",
    title="A module refuses to be imported",
    promise="Something that the code imports raises an exception at its top level, and nothing takes it.",
    explanation=(
        "Only with `--code`. Three things are known to end an import although every module and name is there: a "
        "`raise` that certainly runs, in the module or in a function that it calls; the versions that transformers "
        "demands of its own requirements, whatever its metadata says; and a configuration that an engine registers "
        "with transformers under a name that the installed transformers has taken itself, which ends in `ValueError: "
        "'...' is already used by a Transformers config`. No `except ImportError` takes that last one."
    ),
    example="transformers 4.57 beside huggingface-hub 2.4: `huggingface-hub<1.0,>=0.34.0 is required`.",
    cure="Install the version that the finding names; for another `raise`, see to the condition that it stands under.",
    find=_find,
    about_code=True,
)
