"""MP402: torchvision, torchaudio or torchcodec made for another torch."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.compiled_parts import COMPANIONS
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    for name in COMPANIONS:
        companion = patient.environment.find(name)
        for judged in judge_requirements(companion, patient.environment) if companion else ():
            if judged.requirement.name != "torch" or judged.verdict is not Verdict.VIOLATED:
                continue
            assert companion is not None and judged.installed is not None  # noqa: S101  or nothing is violated
            yield Finding(
                code="MP402",
                severity=Severity.ERROR if name == "torchvision" else Severity.WARNING,
                summary=f"{name} {companion.version} was built for another torch",
                cause="its compiled operators fit that release of torch only; loading them fails or crashes",
                evidence=(
                    f"{name} requires torch{judged.requirement.specifier}, {judged.installed.version} is installed",
                ),
                remedy=Remedy(
                    text=f"remove it, or install the {name} that belongs to torch {judged.installed.version}",
                    commands=(f"{installer(patient.environment)} uninstall -y {name}",),
                ),
                subjects=(name,),
            )


CHECK = Check(
    code="MP402",
    title="Built for another torch",
    promise="torchvision, torchaudio or torchcodec requires another release of torch than is installed.",
    explanation=(
        "Each release of these three is compiled against one release of torch and says so in its "
        "metadata. With "
        "another torch their operators are not registered or their symbols are undefined."
    ),
    example="torchvision 0.25.0 requires `torch==2.10.0`; the engine brought torch 2.13.0.",
    cure="Let pip choose: `pip install torchvision` together with the exact torch that the engine pins.",
    find=_find,
    explains=("MP210", "MP211", "MP212", "MP405", "MP406"),
)
