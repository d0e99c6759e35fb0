"""MP108: required distributions of an engine in versions that it excludes."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import Judged, Verdict, installer, judge_requirements
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        owner = patient.environment.find(engine.distribution) if engine.distribution else None
        violated = [
            judged
            for judged in (judge_requirements(owner, patient.environment) if owner else ())
            if judged.verdict is Verdict.VIOLATED
        ]
        if violated:
            yield _finding(engine, violated, patient)


def _finding(engine: InstalledEngine, violated: list[Judged], patient: Patient) -> Finding:
    names = ", ".join(judged.requirement.name for judged in violated[:6])
    more = f" and {len(violated) - 6} more" if len(violated) > 6 else ""
    pins = " ".join(f"'{judged.requirement.name}{judged.requirement.specifier}'" for judged in violated)
    return Finding(
        code="MP108",
        severity=Severity.WARNING,
        engine=engine.engine,
        summary=f"{engine.distribution} {engine.version} excludes the installed version of {names}{more}",
        cause=("something installed later moved them; whether it matters depends on what the engine uses of them"),
        evidence=tuple(
            f"{judged.requirement.name}{judged.requirement.specifier} is required, "
            f"{judged.installed.version if judged.installed else None} is installed"
            for judged in violated
        ),
        remedy=Remedy(
            text="go back to the versions that the engine was released with",
            commands=(f"{installer(patient.environment)} install {pins}",),
        ),
    )


CHECK = Check(
    code="MP108",
    title="Required distributions have excluded versions",
    promise="A distribution that an engine requires is installed in a version that its metadata excludes.",
    explanation=(
        "What `pip check` says, for the engines only and with the markers of the examined "
        "interpreter. It is a "
        "warning: engines pin many distributions exactly that work in other versions too. Look here "
        "first when "
        "an import fails inside one of those that are listed."
    ),
    example="SGLang 0.5.3 pins `torch==2.8.0`; the environment has torch 2.13.0.",
    cure=("Install the versions that the finding lists, or an engine release that was made for those you have."),
    find=_find,
)
