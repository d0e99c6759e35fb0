"""Libraries: the compiled modules that engines live by, and those that the environment's Python could not load."""

from __future__ import annotations

__all__ = ["COMPANIONS", "OF_TORCH", "Part", "Unloadable", "Weight", "compiled_parts", "unloadable_parts"]

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mixprec_doctor.binaries import (
    FaultKind,
    Library,
    LoadFault,
    extension_faults,
    read_library,
    remember,
    torch_faults,
)
from mixprec_doctor.binaries.library import abi_tag, module_stem
from mixprec_doctor.binaries.reading import symbol_table
from mixprec_doctor.binaries.search import is_driver_library
from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.requirements import needed
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.rehearsal import StopKind
from mixprec_doctor.resolving.importgraph import ImportGraph
from mixprec_doctor.resolving.offers import Offers
from mixprec_doctor.resolving.providers import Providers
from mixprec_doctor.usercode import UserCode

COMPANIONS = ("torchvision", "torchaudio", "torchcodec")
OF_TORCH = re.compile(r"lib(?:torch|c10|caffe2)\w*\.so")
_ENDS = re.compile(rb"\.so\"?,")
_DEEPEST = {True: 3, False: 2}  # parts of a path: engines and their kernels keep variants in folders
_MOST_FILES = 40  # of one distribution
_VARIANT = re.compile(r"\d+|cpu|cuda|rocm|hip|avx\w*|noavx\w*")


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


@dataclass(frozen=True, kw_only=True)
class Unloadable:
    """A compiled module that certainly cannot be loaded, and what that means here."""

    part: Part
    faults: tuple[LoadFault, ...]
    severity: Severity
    reached: bool  # whether the code that was asked about imports it

    @property
    def fault(self) -> LoadFault:
        """The first fault: what Python would report."""
        return self.faults[0]

    @property
    def subjects(self) -> tuple[str, ...]:
        """What a finding about it explains: nothing where it is only noted."""
        if self.severity is not Severity.ERROR:
            return ()
        return ("torch", "torch._C") if self.part.module == "torch._C" else (self.part.module,)


def unloadable_parts(patient: Patient) -> tuple[Unloadable, ...]:
    """Compiled modules that cannot be loaded; worked out once for all checks.

    One of several variants, which differ in numbers or in the kind of device, is left out while another one loads.
    """
    if "unloadable" not in patient.kept:
        patient.kept["unloadable"] = tuple(_unloadable(patient))
        remember(patient.environment)
    found: tuple[Unloadable, ...] = patient.kept["unloadable"]
    return found


def compiled_parts(patient: Patient) -> tuple[Part, ...]:
    """The compiled modules of the engines, of what they require, and of the packages that the code imports."""
    if "compiled" not in patient.kept:
        patient.kept["compiled"] = tuple(_parts(patient))
    found: tuple[Part, ...] = patient.kept["compiled"]
    return found


def _unloadable(patient: Patient) -> Iterator[Unloadable]:
    torch = torch_faults(patient.environment)
    owner = patient.environment.find("torch")
    if torch and owner is not None:
        part = Part(distribution=owner, module="torch._C", path=torch[0].library, weight=Weight.ENGINE, engine="torch")
        yield _judged(part, torch, patient)
    whole: set[tuple[str, str]] = set()
    broken: list[tuple[Part, tuple[LoadFault, ...]]] = []
    for part in compiled_parts(patient):
        if part.distribution is owner or _waits_for_driver(part, patient):
            continue
        faults = extension_faults(part.path, patient.environment)
        if not faults:
            whole.add(_variant(part))
        elif not torch or any(fault not in torch for fault in faults):
            broken.append((part, faults))
    for part, faults in broken:
        if _variant(part) not in whole and _is_module(part):
            judged = _judged(part, faults, patient)
            if judged.reached or not _is_known(faults, owner):
                yield judged


def _waits_for_driver(part: Part, patient: Patient) -> bool:
    """Whether a GPU driver would have to be there first; MP502 says that none is, unless the code asks for the module."""
    machine, code = patient.machine, patient.code
    if machine.driver or machine.accelerators != () or part.weight is Weight.OTHER:
        return False
    if code is not None and part.module.partition(".")[0] in code.packages():
        return False
    library = read_library(part.path)
    return isinstance(library, Library) and any(is_driver_library(name) for name in library.needed)


def _is_known(faults: tuple[LoadFault, ...], torch: Distribution | None) -> bool:
    """Whether other findings say already what is missing: the GPU driver, or torch as a whole."""
    if torch is None and any(OF_TORCH.fullmatch(fault.wanted) for fault in faults):
        return True
    return faults[0].kind is FaultKind.NO_DRIVER


def _variant(part: Part) -> tuple[str, str]:
    return part.distribution.key, _VARIANT.sub("#", part.module)


def _judged(part: Part, faults: tuple[LoadFault, ...], patient: Patient) -> Unloadable:
    """An error where the code asked about fails for it; without code, where the engine does."""
    code = patient.code
    reached = code is not None and _reaches(code, part, patient)
    grave = reached if code is not None else part.weight is not Weight.OTHER
    minor = code is not None and not code.concerns(part.module)
    severity = Severity.ERROR if grave else Severity.INFO if minor else Severity.WARNING
    return Unloadable(part=part, faults=faults, severity=severity, reached=reached)


def _reaches(code: UserCode, part: Part, patient: Patient) -> bool:
    """Whether the imports of the code certainly load the module, as far as they are followed."""
    if code.stop is not None and code.stop.root.kind is StopKind.LIBRARY and code.stop.root.wanted == part.module:
        return True
    top = part.module.partition(".")[0]
    if part.module == "torch._C":
        return "torch" in code.rehearsal.entered
    asked = {name for _, name in code.imported_modules() if name.partition(".")[0] == top}
    for statement, name in code.imported_modules():
        if isinstance(statement, ast.ImportFrom) and name in asked:
            asked |= {f"{name}.{each.name}" for each in statement.names}
    if not asked:
        return False
    return part.module in _entered(code, asked, top, patient)


def _entered(code: UserCode, asked: Iterable[str], top: str, patient: Patient) -> set[str]:
    """Modules of one package that importing some of them certainly enters."""
    graph = ImportGraph(
        code.exports,
        offers=Offers(code.exports, patient.environment),
        providers=Providers(patient.environment, top),
        engine=top,
    )
    parts = [name.split(".") for name in asked]
    waiting = [".".join(each[:length]) for each in parts for length in range(1, len(each) + 1)]
    entered = set(waiting)
    while waiting:
        for edge in graph.edges(waiting.pop()):
            name = edge.enters
            if name is not None and edge.condition is None and name.partition(".")[0] == top and name not in entered:
                entered.add(name)
                waiting.append(name)
    return entered


def _is_module(part: Part) -> bool:
    """Whether Python would import the file: it has the function for that, or it registers operators of an engine."""
    if part.weight is not Weight.OTHER:
        return True
    table = symbol_table(part.path)
    return table is None or table.defines(f"PyInit_{part.module.rpartition('.')[2]}")


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
            yield found, Weight.OTHER, None
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
    count = 0
    for found in _ENDS.finditer(record):
        start = record.rfind(b"\n", 0, found.start()) + 1
        name = record[start : found.start() + 3].decode("utf-8", errors="replace").lstrip('"').replace("\\", "/")
        folder, _, file = name.rpartition("/")
        depth = name.count("/") + 1
        stem, tag = module_stem(Path(file)), abi_tag(Path(file))
        if (
            stem is None
            or depth > _DEEPEST[weight is not Weight.OTHER]
            or not (tag in (None, "abi3") or tag.startswith(ours))
        ):
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
