"""Unloadable: compiled modules that the environment's Python certainly cannot load, and whether that matters here."""

from __future__ import annotations

__all__ = ["OF_TORCH", "Unloadable", "further", "unloadable_parts"]

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mixprec_doctor.binaries import (
    FaultKind,
    Library,
    LoadFault,
    extension_faults,
    read_library,
    remember,
    torch_faults,
)
from mixprec_doctor.binaries.reading import symbol_table
from mixprec_doctor.binaries.search import is_driver_library
from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.compiled_parts import COMPANIONS, Part, Weight, compiled_parts
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.rehearsal import StopKind
from mixprec_doctor.resolving.importgraph import ImportGraph
from mixprec_doctor.resolving.offers import Offers
from mixprec_doctor.resolving.providers import Providers
from mixprec_doctor.usercode import UserCode

OF_TORCH = re.compile(r"lib(?:torch|c10|caffe2)\w*\.so")
_VARIANT = re.compile(r"\d+|cpu|cuda|rocm|hip|avx\w*|noavx\w*")
_GRAVEST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, kw_only=True)
class Unloadable:
    """A compiled module that certainly cannot be loaded, and what that means here."""

    part: Part
    faults: tuple[LoadFault, ...]
    severity: Severity
    reached: bool  # whether the code that was asked about imports it
    others: tuple[str, ...] = ()  # further modules of the distribution that fail in the same way

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
    """Compiled modules that cannot be loaded, one for each distribution and kind of fault; worked out once.

    One of several variants, which differ in numbers or in the kind of device, is left out while another one loads.
    """
    if "unloadable" not in patient.kept:
        patient.kept["unloadable"] = _together(_unloadable(patient))
        remember(patient.environment)
    found: tuple[Unloadable, ...] = patient.kept["unloadable"]
    return found


def further(broken: Unloadable) -> tuple[str, ...]:
    """A line of evidence for the other modules of the distribution, if there are any."""
    if not broken.others:
        return ()
    shown = ", ".join(broken.others[:4]) + (f" and {len(broken.others) - 4} more" if len(broken.others) > 4 else "")
    return (f"nor can {shown}",)


def _together(found: Iterable[Unloadable]) -> tuple[Unloadable, ...]:
    """The gravest of each distribution and kind of fault, and the names of the others."""
    groups: dict[tuple[str, FaultKind], list[Unloadable]] = {}
    for each in found:
        groups.setdefault((each.part.distribution.key, each.fault.kind), []).append(each)
    together = []
    for group in groups.values():
        first = min(group, key=lambda each: _GRAVEST_FIRST.index(each.severity))
        together.append(replace(first, others=tuple(each.part.module for each in group if each is not first)))
    return tuple(together)


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
    alive = {key for key, _ in whole}
    for part, faults in broken:
        if _variant(part) not in whole and _is_module(part):
            judged = _judged(part, faults, patient, only=part.distribution.key not in alive)
            if judged.reached or not _is_known(faults, owner):
                yield judged


def _waits_for_driver(part: Part, patient: Patient) -> bool:
    """Whether a GPU driver would have to be there first, which MP502 says, unless the code asks for the module."""
    machine, code = patient.machine, patient.code
    if machine.driver or machine.accelerators != () or part.weight is Weight.OTHER:
        return False
    if code is not None and not code.packages().isdisjoint(part.distribution.packages):
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


def _judged(part: Part, faults: tuple[LoadFault, ...], patient: Patient, *, only: bool = False) -> Unloadable:
    """An error where the code asked about fails for it; without code, where the engine does."""
    code = patient.code
    reached = code is not None and (_reaches(code, part, patient) or (only and _lives_by(code, part)))
    grave = reached if code is not None else part.weight is not Weight.OTHER
    minor = code is not None and not code.concerns(part.module)
    severity = Severity.ERROR if grave else Severity.INFO if minor else Severity.WARNING
    return Unloadable(part=part, faults=faults, severity=severity, reached=reached)


def _lives_by(code: UserCode, part: Part) -> bool:
    """Whether the code imports a package of operators for torch, of which nothing else loads either.

    Such packages open their libraries by path when they are imported, and have nothing to fall back on. That of
    torchvision is what transformers fails for.
    """
    asked = code.packages()
    if part.distribution.key == "torchvision" and "transformers" in asked:
        return True
    library = read_library(part.path)
    needed = library.needed if isinstance(library, Library) else ()
    operators = part.weight is Weight.KERNELS or any(OF_TORCH.fullmatch(name) for name in needed)
    return operators and part.weight is not Weight.ENGINE and not asked.isdisjoint(part.distribution.packages)


def _reaches(code: UserCode, part: Part, patient: Patient) -> bool:
    """Whether the imports of the code certainly load the module, as far as they are followed."""
    if code.stop is not None and code.stop.root.kind is StopKind.LIBRARY and code.stop.root.wanted == part.module:
        return True
    if part.module == "torch._C":
        begun = [*code.rehearsal.entered, *(step.module for step in (code.stop.trail if code.stop else ()))]
        return "torch" in code.packages() or any(f"{name}.".startswith("torch.") for name in begun)
    own = {part.module.partition(".")[0], *part.distribution.packages}
    asked = {name for _, name in code.imported_modules() if name.partition(".")[0] in own}
    for statement, name in code.imported_modules():
        if isinstance(statement, ast.ImportFrom) and name in asked:
            asked |= {f"{name}.{each.name}" for each in statement.names}
    return any(
        part.module in _entered(code, [each for each in asked if each.partition(".")[0] == top], top, patient)
        for top in sorted({name.partition(".")[0] for name in asked})
    )


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
            if name is not None and edge.condition is None and name not in entered:
                entered.add(name)
                waiting += (name for _ in range(name.partition(".")[0] == top))
    return entered


def _is_module(part: Part) -> bool:
    """Whether Python would import the file: it has the function for that, or it registers operators of an engine."""
    if part.weight is not Weight.OTHER or part.distribution.key in COMPANIONS:
        return True
    table = symbol_table(part.path)
    return table is None or table.defines(f"PyInit_{part.module.rpartition('.')[2]}")
