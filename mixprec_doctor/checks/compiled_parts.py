"""Compiled parts: the compiled modules that engines live by, found in the file lists of their distributions."""

from __future__ import annotations

__all__ = ["COMPANIONS", "Part", "Weight", "compiled_parts"]

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mixprec_doctor.binaries.library import abi_tag, module_stem
from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.requirements import needed
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Distribution

COMPANIONS = ("torchvision", "torchaudio", "torchcodec")
_ENDS = re.compile(rb"\.so\"?,")
_DEEPEST, _USUAL = 3, 2  # parts of a path: engines, their kernels and what the code imports are read further down
_MOST_FILES = 40  # of one distribution


class Weight(Enum):
    """What hangs on a compiled module."""

    ENGINE = "engine"  # an engine's own, or torch's
    KERNELS = "kernels"  # of what an engine requires and that needs torch
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A compiled module of a distribution."""

    distribution: Distribution
    module: str  # "vllm._C"
    path: Path
    weight: Weight
    engine: str | None  # the engine that it belongs to or that requires it


def compiled_parts(patient: Patient) -> tuple[Part, ...]:
    """The compiled modules of the engines, of what they require, and of the packages that the code imports."""
    if "compiled" not in patient.kept:
        patient.kept["compiled"] = tuple(_parts(patient))
    found: tuple[Part, ...] = patient.kept["compiled"]
    return found


def _parts(patient: Patient) -> Iterator[Part]:
    seen: set[str] = set()
    for distribution, weight, engine in _concerned(patient):
        if distribution.key not in seen:
            seen.add(distribution.key)
            yield from _parts_of(distribution, weight, engine, patient)


def _concerned(patient: Patient) -> Iterator[tuple[Distribution, Weight, str | None]]:
    """Distributions with compiled modules that matter, the most important first."""
    environment = patient.environment
    owners = [(each, owner) for each in patient.engines for owner in environment.owners(each.engine)]
    for engine, owner in owners:
        yield owner, Weight.ENGINE, engine.engine
    for engine, owner in owners:
        for requirement in needed(owner, environment) if engine.engine != "torch" else ():
            found = environment.find(requirement.name)
            if found is not None and found.key not in COMPANIONS and _is_compiled(found):
                kernels = any(requirement.name == "torch" for requirement in needed(found, environment))
                kernels = kernels or any(name.startswith(("sgl_kernel", "flashinfer")) for name in found.packages)
                yield found, Weight.KERNELS if kernels else Weight.OTHER, engine.engine
    for name in ("torchvision", "torchaudio"):  # torchcodec has parts for every FFmpeg there is, and does without
        if (found := environment.find(name)) is not None:
            yield found, Weight.KERNELS if name == "torchvision" else Weight.OTHER, None
    for top in sorted(patient.code.packages()) if patient.code is not None else ():
        for found in environment.owners(top):
            if _is_compiled(found):
                yield found, Weight.OTHER, None


def _is_compiled(distribution: Distribution) -> bool:
    return not distribution.tags or any(not tag.endswith("-any") for tag in distribution.tags)


def _parts_of(distribution: Distribution, weight: Weight, engine: str | None, patient: Patient) -> Iterator[Part]:
    version = patient.environment.interpreter.version or ""
    ours = f"cpython-{''.join(version.split('.')[:2])}"
    record = read_start(Path(distribution.metadata) / "RECORD", most=LARGEST_LIST) or b""
    asked = patient.code is not None and not patient.code.packages().isdisjoint(distribution.packages)
    deepest = _DEEPEST if asked or weight is not Weight.OTHER else _USUAL
    count = 0
    for found in _ENDS.finditer(record):
        start = record.rfind(b"\n", 0, found.start()) + 1
        name = record[start : found.start() + 3].decode("utf-8", errors="replace").lstrip('"').replace("\\", "/")
        folder, _, file = name.rpartition("/")
        depth = name.count("/") + 1
        stem, tag = module_stem(Path(file)), abi_tag(Path(file))
        if stem is None or depth > deepest or not (tag in (None, "abi3") or tag.startswith(ours)):
            continue
        module = ".".join(filter(None, [folder.replace("/", "."), stem]))
        if not all(part.isidentifier() for part in module.split(".")) or folder.partition("/")[2] == "lib":
            continue
        path = Path(distribution.location, name)
        if distribution.key in COMPANIONS and not _stands_there(distribution, path, patient):
            continue
        yield Part(distribution=distribution, module=module, path=path, weight=weight, engine=engine)
        count += 1
        if count == _MOST_FILES:
            return


def _stands_there(distribution: Distribution, path: Path, patient: Patient) -> bool:
    """Whether an import would take the package from this distribution's folder at all."""
    place = locate_package(patient.environment, distribution.name)
    return place is not None and path.is_relative_to(place)
