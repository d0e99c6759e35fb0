"""MP202: a placeholder stands in for the real class."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Resolution, Status


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, resolutions in patient.roles.items():
        by_reason: dict[str, list[Resolution]] = {}
        for each in resolutions:
            if each.status is Status.PLACEHOLDER:
                by_reason.setdefault(each.condition or "", []).append(each)
        for reason, standins in by_reason.items():
            names = ", ".join(each.role.value for each in standins)
            yield Finding(
                code="MP202",
                severity=Severity.WARNING,
                engine=engine,
                summary=f"placeholders stand in for: {names}",
                cause=(f"the import of the real ones fails ({reason}), and the engine says nothing until one is used"),
                evidence=tuple(
                    f"{attempt.path}: {attempt.fault}"
                    for each in standins
                    for attempt in each.tried
                    if attempt.fault and "stands in for it" in attempt.fault
                ),
                remedy=Remedy(text="install what that import needs, or do without these formats"),
                subjects=(engine,),
            )


CHECK = Check(
    code="MP202",
    title="A placeholder stands in for a real class",
    promise="A name can be imported, but what stands there does not work.",
    explanation=(
        "Engines guard imports with `except ImportError` and put `Any`, `None` or an empty class in "
        "place of what "
        "failed. The name imports, the method is listed, and the failure comes when the model is "
        "loaded. The import "
        "that fails is judged from what the same environment provides; nothing is imported to find out."
    ),
    example="`AWQMarlinConfig` of SGLang 0.4.7 without vLLM is an empty `DummyConfig`.",
    cure="Install what the guarded import needs, in a version that still has the names, or avoid the method.",
    find=_find,
    about_mixprec=True,
)
