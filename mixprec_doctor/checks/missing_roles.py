"""MP201: a name that mixprec needs is not in this release under any name."""

from __future__ import annotations

__all__ = ["CHECK", "NEEDED"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.layout import find_layout

# Without these no mixture is served at all; every other role is about one format.
NEEDED: frozenset[Role] = frozenset({
    Role.QUANTIZATION_CONFIG, Role.LINEAR_METHOD_BASE, Role.LINEAR_BASE, Role.UNQUANTIZED_LINEAR_METHOD,
    Role.DEFAULT_LOADER, Role.GET_MODEL_LOADER, Role.LOAD_CONFIG, Role.MODEL_CONFIG,
    Role.QUANTIZATION_REGISTRY, Role.GET_QUANTIZATION_CONFIG, Role.SERVER_ARGS,
})  # fmt: skip


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, resolutions in patient.roles.items():
        absent = find_layout(engine).absent
        missing = [each for each in resolutions if each.status is Status.MISSING and each.role not in absent]
        needed = [each for each in missing if each.role in NEEDED]
        formats = [each for each in missing if each.role.method and each.role not in NEEDED]
        doors = [each for each in missing if each.role not in NEEDED and not each.role.method]
        if needed:
            yield _finding(engine, needed, Severity.ERROR, "mixprec cannot serve a mixture on it")
        if formats:
            cause = "layers in these formats cannot be served by this release; other formats can"
            yield _finding(engine, formats, Severity.INFO, cause)
        if doors:
            yield _finding(engine, doors, Severity.INFO, "mixprec has to enter this release by another door")


def _finding(engine: str, missing: list[Resolution], severity: Severity, cause: str) -> Finding:
    names = ", ".join(each.role.value for each in missing)
    return Finding(
        code="MP201",
        severity=severity,
        engine=engine,
        summary=f"this release of {engine} has nothing for: {names}",
        cause=cause,
        evidence=tuple(
            f"{each.role.value}: tried {attempt.path}: {attempt.fault}" for each in missing for attempt in each.tried
        ),
        remedy=Remedy(
            text="see what the release does have, and compare with another one",
            commands=(f"mixprec resolve --engine {engine} --role {missing[0].role.value}",),
        ),
    )


CHECK = Check(
    code="MP201",
    title="A role has nothing in this release",
    promise="Something that mixprec needs from an engine is not there under any name.",
    explanation=(
        "Names move in every release. A role (say, the config class for GPTQ) is looked for in its "
        "usual places, then "
        "in the engine's own registry, then by what it is. This finding lists every path that was "
        "tried and why it "
        "failed. An error when no mixture could be served without it; only noted when it concerns one format."
    ),
    example="SGLang 0.4.7 takes `GPTQLinearMethod` from vLLM; without vLLM it has none.",
    cure="Use another release of the engine, or leave that format out of the mixture.",
    find=_find,
    about_mixprec=True,
)
