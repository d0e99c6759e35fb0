"""MP405: a compiled module that needs a library which is nowhere."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator

from mixprec_doctor.binaries import FaultKind, LoadFault
from mixprec_doctor.checks.builds import TorchBuild, torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.pins import plain
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements
from mixprec_doctor.checks.unloadable import OF_TORCH, Unloadable, further, unloadable_parts
from mixprec_doctor.records.finding import Finding, Remedy

_OF_CUDA = re.compile(
    r"lib(?:cu(?:dart|blas|blasLt|fft|rand|solver|sparse|sparseLt|dnn|pti|file)|nv\w+|nccl)\.so\.(\d+)"
)
_OF_FFMPEG = re.compile(r"lib(?:avutil|avcodec|avformat|avfilter|avdevice|swscale|swresample)")
_BRINGS_CUDA = re.compile(r"nvidia-(?!ml-py)|cuda-toolkit")
_SONAME = re.compile(r"(lib[\w+-]+?)\.so\.(\d+)")


def _find(patient: Patient) -> Iterator[Finding]:
    torch = torch_build(patient.environment)
    for broken in unloadable_parts(patient):
        missing = [each for each in broken.faults if each.kind in (FaultKind.NO_LIBRARY, FaultKind.NO_DRIVER)]
        if broken.fault not in missing or _is_of_mp401(broken, torch):
            continue
        owner = broken.part.distribution
        names = list(dict.fromkeys(each.wanted for each in missing))
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Finding(
            code="MP405",
            severity=broken.severity,
            engine=broken.part.engine,
            summary=f"{owner.name} {owner.version} cannot load {broken.part.module}: {shown} not found",
            cause=_cause(missing, torch, owner.name),
            evidence=(*(each.text for each in missing[:4]), *further(broken)),
            remedy=_remedy(broken, missing, patient, torch),
            subjects=broken.subjects,
        )


def _is_of_mp401(broken: Unloadable, torch: TorchBuild | None) -> bool:
    """MP401 says already that a companion is a CUDA build and torch is not."""
    companion = broken.part.distribution.key in ("torchvision", "torchaudio", "torchcodec")
    return companion and torch is not None and torch.is_cpu and _wants_cuda(broken.faults)


def _wants_cuda(faults: tuple[LoadFault, ...] | list[LoadFault]) -> bool:
    return any(
        _OF_CUDA.fullmatch(each.wanted) or (OF_TORCH.fullmatch(each.wanted) and "cuda" in each.wanted)
        for each in faults
    )


def _cause(missing: list[LoadFault], torch: TorchBuild | None, name: str) -> str:
    first = missing[0]
    if first.kind is FaultKind.NO_DRIVER and not any(each.kind is FaultKind.NO_LIBRARY for each in missing):
        return "that library comes with the GPU driver; without a GPU and its driver the module cannot be loaded"
    if torch is not None and torch.is_cpu and _wants_cuda(missing):
        return f"{name} is a CUDA build, and torch {torch.version} is a CPU build, which brings no CUDA libraries"
    cuda = next((found for each in missing if (found := re.fullmatch(r"libcudart\.so\.(\d+)", each.wanted))), None)
    if cuda and torch is not None and torch.cuda and torch.cuda.partition(".")[0] != cuda[1]:
        return f"it was built for CUDA {cuda[1]}, and torch {torch.version} is built for CUDA {torch.cuda}"
    if _OF_CUDA.fullmatch(first.wanted):
        return "the libraries of CUDA come in wheels of their own, and that one is not installed"
    if OF_TORCH.fullmatch(first.wanted):
        if torch is None:
            return "that library is part of torch, and torch is not installed"
        return "that library is part of torch, and the torch here does not have it"
    return "no wheel here and no folder of the system has that library"


def _remedy(broken: Unloadable, missing: list[LoadFault], patient: Patient, torch: TorchBuild | None) -> Remedy:
    pip, owner = installer(patient.environment), broken.part.distribution
    wanted = missing[0].wanted
    if all(each.kind is FaultKind.NO_DRIVER for each in missing):
        return Remedy(text=f"use a machine with an NVIDIA GPU and its driver, or a build of {owner.name} for the CPU")
    absent = dict.fromkeys(
        f"'{plain(each.requirement)}'"
        for name in dict.fromkeys(["torch", owner.name])
        if (distribution := patient.environment.find(name)) is not None
        for each in judge_requirements(distribution, patient.environment)
        if each.verdict is not Verdict.MET and _BRINGS_CUDA.match(each.requirement.name)
    )
    if absent and not (torch is not None and torch.is_cpu):
        return Remedy(
            text="install the CUDA libraries that the metadata asks for, in those versions",
            commands=(f"{pip} install {' '.join(absent)}",),
        )
    if torch is not None and _wants_cuda(missing):
        kind = "CPU" if torch.is_cpu else f"CUDA {torch.cuda}"
        return Remedy(
            text=(
                f"install a build of {owner.name} for {kind}, as torch {torch.version} is, or make a new environment "
                "in which pip chooses both together"
            ),
        )
    if OF_TORCH.fullmatch(wanted):
        pinned = [each for each in owner.requires if each.startswith("torch=")] if torch is None else []
        if pinned:
            pin = pinned[0].partition(";")[0].strip()
            return Remedy(text="install the torch that it asks for", commands=(f"{pip} install '{pin}'",))
        return Remedy(text=f"install the torch that {owner.name} {owner.version} was built for, or torch anew")
    return _of_system(wanted, owner.name, pip)


def _of_system(wanted: str, name: str, pip: str) -> Remedy:
    """Debian names such packages after the library and its number: libnuma.so.1 is in libnuma1."""
    found = _SONAME.fullmatch(wanted)
    text = f"install the package of the operating system that has {wanted}"
    if found is None:
        return Remedy(text=text)
    package = found[1].lower() + ("-" if found[1][-1].isdigit() else "") + found[2]
    if _OF_FFMPEG.fullmatch(found[1]):
        return Remedy(
            text=f"install FFmpeg, in a release that {name} knows: {wanted} belongs to one of them",
            commands=("apt-get install -y ffmpeg",),
        )
    if name.startswith("opencv-") and "headless" not in name:
        return Remedy(
            text="take the build of OpenCV that needs no display",
            commands=(f"{pip} uninstall -y {name}", f"{pip} install {name}-headless"),
        )
    return Remedy(
        text=f"{text}; on Debian and Ubuntu usually {package}, elsewhere `dnf provides '*/{wanted}'` tells",
        commands=(f"apt-get install -y {package}",),
    )


CHECK = Check(
    code="MP405",
    title="A needed library is nowhere",
    promise="A compiled module needs a library that neither a wheel of the environment nor the system has.",
    explanation=(
        "Every compiled module lists the libraries that must be there when it is loaded. They are looked for as the "
        "loader does: what torch has loaded before, the folders that the file itself names, LD_LIBRARY_PATH, the cache "
        "of ldconfig, the usual folders. A library that lies elsewhere in the environment counts as there, since its "
        "package may open it itself. Those of the GPU driver are only missed where the code that was asked about "
        "needs them."
    ),
    example=(
        "sgl-kernel needs libnuma.so.1, which slim container images leave out; a CUDA build of vLLM needs "
        "libcudart.so.12 and finds a torch for the CPU."
    ),
    cure="The build that fits the installed torch, or the system package with the library.",
    find=_find,
    about_code=True,
    explains=("MP203", "MP204", "MP210", "MP211", "MP212"),
)
