"""MP407: torch and a companion that were built for different releases of CUDA."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator

from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.compiled_parts import COMPANIONS
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_CUDA = re.compile(r"\+cu(\d+)(\d)$")


def _find(patient: Patient) -> Iterator[Finding]:
    torch = torch_build(patient.environment)
    if torch is None or torch.cuda is None:
        return
    ours = torch.cuda.split(".")[:2]
    for name in COMPANIONS:
        companion = patient.environment.find(name)
        found = _CUDA.search(companion.version or "") if companion else None
        if companion is None or found is None or [*found.groups()] == ours:
            continue
        apart = found[1] != ours[0]
        release = (companion.version or "").partition("+")[0]
        index = f"https://download.pytorch.org/whl/cu{''.join(ours)}"
        yield Finding(
            code="MP407",
            severity=(Severity.ERROR if name == "torchvision" else Severity.WARNING) if apart else Severity.INFO,
            summary=(
                f"{name} {companion.version} is built for CUDA {found[1]}.{found[2]}, "
                f"torch {torch.version} for {torch.cuda}"
            ),
            cause=(
                f"{name} refuses to be imported with a torch of another major release of CUDA"
                if apart
                else "releases of CUDA with one major number go together as a rule"
            ),
            evidence=(f"torch {torch.version}", f"{name} {companion.version}"),
            remedy=Remedy(
                text=f"install the build of {name} for the CUDA of torch",
                commands=(
                    f"{installer(patient.environment)} install --force-reinstall --no-deps "
                    f"{name}=={release} --index-url {index}",
                ),
            ),
            subjects=(name,),
        )


CHECK = Check(
    code="MP407",
    title="Built for different releases of CUDA",
    promise="torchvision, torchaudio or torchcodec was built for another CUDA than torch.",
    explanation=(
        "Builds from the indexes of PyTorch carry their CUDA in the version, as in 0.23.0+cu126; that of torch is read "
        "from its version.py. Another major number is refused at import; another minor number does no harm as a rule."
    ),
    example="torch 2.8.0+cu128 from one index and torchvision 0.23.0+cu118 from another.",
    cure="Install all of them from the same index of PyTorch.",
    find=_find,
    explains=("MP405",),
)
