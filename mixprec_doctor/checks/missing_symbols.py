"""MP406: a compiled module that was built against another torch, Python or library than is there."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator

from packaging.requirements import Requirement

from mixprec_doctor.binaries import FaultKind
from mixprec_doctor.binaries.words import readable
from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import Verdict, installer, judge_requirements, needed
from mixprec_doctor.checks.unloadable import Unloadable, further, unloadable_parts
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy

_OF_TORCH = re.compile(r"c10|torch|at::|\bat_|aoti_|caffe2|THP")
_OF_PYTHON = re.compile(r"_?Py[A-Z_]\w+")


def _find(patient: Patient) -> Iterator[Finding]:
    for broken in unloadable_parts(patient):
        if broken.fault.kind is not FaultKind.NO_SYMBOL:
            continue
        owner, symbol = broken.part.distribution, broken.fault.wanted
        summary, cause, remedy = _of_torch(broken, patient)
        if _OF_PYTHON.fullmatch(symbol):
            summary, cause, remedy = _of_python(broken, patient)
        elif not _OF_TORCH.search(readable(symbol)) and not _OF_TORCH.search(symbol):
            summary, cause, remedy = _of_others(broken, patient)
        yield Finding(
            code="MP406",
            severity=broken.severity,
            engine=broken.part.engine,
            summary=f"{owner.name} {owner.version} {summary}",
            cause=cause,
            evidence=(
                *dict.fromkeys(each.text for each in broken.faults[:3]),
                *(f"the symbol is {symbol}" for _ in range(readable(symbol) != symbol)),
                *_pins(owner, patient),
                *further(broken),
            ),
            remedy=remedy,
            subjects=broken.subjects,
        )


def _of_torch(broken: Unloadable, patient: Patient) -> tuple[str, str, Remedy]:
    torch, owner = torch_build(patient.environment), broken.part.distribution
    here = f"torch {torch.version}" if torch else "the torch that is here"
    pinned = _pinned_torch(owner, patient)
    pip = installer(patient.environment)
    if (
        pinned is not None
        and torch is not None
        and not pinned.specifier.contains(torch.version or "", prereleases=True)
    ):
        remedy = Remedy(
            text=f"install the torch that it belongs to, or the {owner.name} that belongs to {here}",
            commands=(f"{pip} install '{pinned.name}{pinned.specifier}'",),
        )
    else:
        remedy = Remedy(
            text=(
                f"install a release or build of {owner.name} that was made for {here}; one that was compiled on the "
                "spot has to be compiled again"
            ),
            commands=(f"{pip} install --force-reinstall --no-deps --no-cache-dir {owner.name}",)
            if any(tag.endswith("linux_x86_64") and "manylinux" not in tag for tag in owner.tags)
            else (),
        )
    cause = (
        f"{broken.part.module} wants {readable(broken.fault.wanted)}, which {here} does not have; torch changes such "
        "functions from release to release"
    )
    return f"was built for another torch than {here}: {broken.part.module} cannot be loaded", cause, remedy


def _of_python(broken: Unloadable, patient: Patient) -> tuple[str, str, Remedy]:
    version, owner = patient.environment.interpreter.version, broken.part.distribution
    return (
        f"was built for another Python than {version}: {broken.part.module} cannot be loaded",
        f"it wants {broken.fault.wanted}, which Python {version} does not have",
        Remedy(
            text="install it again with the interpreter that will run it",
            commands=(
                f"{installer(patient.environment)} install --force-reinstall --no-deps '{owner.name}=={owner.version}'",
            ),
        ),
    )


def _of_others(broken: Unloadable, patient: Patient) -> tuple[str, str, Remedy]:
    owner = broken.part.distribution
    wanted = [
        f"'{each.requirement.name}{each.requirement.specifier}'"
        for distribution in (owner, patient.environment.find("torch"))
        if distribution is not None
        for each in judge_requirements(distribution, patient.environment)
        if each.verdict is Verdict.VIOLATED
    ]
    commands = (f"{installer(patient.environment)} install {' '.join(wanted)}",) if wanted else ()
    return (
        f"does not fit the libraries that are here: {broken.part.module} cannot be loaded",
        f"it wants {readable(broken.fault.wanted)}, which none of the libraries has that it is loaded with",
        Remedy(text="install the releases that belong together, all of them from one source", commands=commands),
    )


def _pinned_torch(owner: Distribution, patient: Patient) -> Requirement | None:
    """The torch that the distribution asks for; else that of an engine that requires the distribution."""
    asking = [owner, *(each for each in patient.environment.distributions if _requires(each, owner.key, patient))]
    for each in asking:
        for requirement in needed(each, patient.environment):
            if requirement.name == "torch" and requirement.specifier:
                return requirement
    return None


def _requires(asker: Distribution, key: str, patient: Patient) -> bool:
    served = {each.distribution for each in patient.engines}
    return asker.name in served and any(each.name.lower() == key for each in needed(asker, patient.environment))


def _pins(owner: Distribution, patient: Patient) -> Iterator[str]:
    pinned = _pinned_torch(owner, patient)
    torch = patient.environment.find("torch")
    if pinned is not None and torch is not None:
        yield f"the metadata asks for torch{pinned.specifier}, {torch.version} is installed"


CHECK = Check(
    code="MP406",
    title="Built against another torch",
    promise="A compiled module wants functions that the installed torch, Python or library does not have.",
    explanation=(
        "The symbols that a compiled module takes from others are looked up in all libraries that it would be loaded "
        "with: the interpreter, torch as it is after `import torch`, and what the module needs "
        "itself. Those of the C and C++ runtime are judged by their versions (MP404). One that is nowhere ends the "
        "import with `undefined symbol`."
    ),
    example="flash-attn compiled for torch 2.8 beside torch 2.9: `undefined symbol: _ZN3c104cuda9SetDeviceEa`.",
    cure="The release of the package that was made for the installed torch, or the torch that its metadata pins.",
    find=_find,
    about_code=True,
    explains=("MP203", "MP204", "MP210", "MP211", "MP212"),
)
