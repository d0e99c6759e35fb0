"""MP107: required distributions of an engine that are not installed."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from packaging.requirements import Requirement

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity

# Companions of torch that engines require for pictures, sound and video only. Leaving them out of a
# text-only environment is common and, where their CUDA builds would meet a CPU torch, a cure.
_MEDIA = frozenset({"torchvision", "torchaudio", "torchcodec"})


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        missing = list(_missing(engine, patient))
        media = [each for each in missing if each.name.lower() in _MEDIA]
        needed = [each for each in missing if each not in media]
        if needed:
            # Of code that was asked about MP204 says what it really lacks.
            severity = Severity.ERROR if patient.code is None else Severity.WARNING
            yield _finding(engine, needed, patient, severity=severity)
        if media:
            yield _finding(engine, media, patient, severity=Severity.INFO)


def _missing(engine: InstalledEngine, patient: Patient) -> Iterator[Requirement]:
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    for judged in judge_requirements(owner, patient.environment) if owner else ():
        if judged.verdict is Verdict.MISSING:
            yield judged.requirement


def _finding(engine: InstalledEngine, missing: list[Requirement], patient: Patient, *, severity: Severity) -> Finding:
    names = sorted({each.name for each in missing}, key=str.lower)
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    media = severity is Severity.INFO
    return Finding(
        code="MP107",
        severity=severity,
        engine=engine.engine,
        summary=f"{engine.distribution} requires {shown}: not installed",
        cause=(
            "they serve pictures, sound and video; text models run without them"
            if media
            else "left out by --no-deps or removed later; importing the engine stops at the first one"
        ),
        evidence=tuple(f"{engine.distribution} {engine.version} requires {_plain(each)}" for each in missing),
        remedy=None
        if media
        else Remedy(
            text="install what is missing, in the versions that the engine asks for",
            commands=(
                f"{installer(patient.environment)} install " + " ".join(f"'{_plain(each)}'" for each in missing),
            ),
        ),
    )


def _plain(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


CHECK = Check(
    code="MP107",
    title="Required distributions are missing",
    promise="An engine's own metadata requires distributions that the environment does not have.",
    explanation=(
        "Read from the Requires-Dist lines of the installed release, with the markers evaluated for "
        "the examined "
        "interpreter; extras are not counted. Missing torchvision, torchaudio and torchcodec are only "
        "noted: text "
        "models do not need them, and their usual builds are for CUDA."
    ),
    example="`pip install --no-deps sglang`, then `import sglang` ends in `No module named 'numpy'`.",
    cure="Install all of them at once with the command that the finding shows.",
    find=_find,
)
