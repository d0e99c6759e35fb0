"""Check: one fault that the doctor knows, its explanation, and the function that finds it."""

from __future__ import annotations

__all__ = ["Changes", "Check", "Lend", "Patient"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.lenders import Avoid, Lenders
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.probe import Probe
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.resolving.borrowing import Borrowed
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.usercode.code import UserCode

# Names, the distribution that lends them, its installed version, what is installed beside it, and what to avoid.
Lend = Callable[[Sequence[Borrowed], str, "str | None", Sequence[tuple[str, str]], "Avoid | None"], "Lenders | None"]

# A module, a class in it, the defaults of some parameters, the distribution and its installed version.
Changes = Callable[[str, str, Mapping[str, str], str, str], tuple[DefaultChange, ...]]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """All that checks may look at: records that were read before, and folders to read, nothing to run."""

    environment: Environment
    machine: Machine
    engines: tuple[InstalledEngine, ...] = ()
    roles: Mapping[str, tuple[Resolution, ...]] = field(default_factory=dict)  # by engine
    wanted: str | None = None  # the engine that the user asked about
    import_folders: tuple[str, ...] = ()  # the working directory and PYTHONPATH: what Python looks into first
    code: UserCode | None = None  # the lines that the user asked about
    probes: tuple[Probe, ...] = ()  # what was really tried; empty where nothing was
    kernels: tuple[KernelChoice, ...] = ()  # what serves the layers of the workload that was asked about
    lend: Lend | None = None  # asks the index which releases have some names; None: no index is asked
    changes: Changes | None = None  # asks the index which defaults of a class changed; None: no index is asked
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # what several checks work out once

    @cached_property
    def exports(self) -> Exports:
        """The source of all packages of the environment, read as far as somebody asks."""
        return self.code.exports if self.code is not None else Exports(Sources.of_environment(self.environment))

    def engine(self, name: str) -> InstalledEngine | None:
        """The engine of that name, if it is there."""
        return next((each for each in self.engines if each.engine == name), None)


@dataclass(frozen=True, kw_only=True)
class Check(Explanation):
    """One known fault. The texts are shown by `mixprec explain` and make docs/reference/findings.md."""

    find: Callable[[Patient], Iterable[Finding]]
    about_code: bool = False  # whether it looks at the lines that the user asked about
    about_mixprec: bool = False  # whether it is about what mixprec itself needs, which no code of the user's asks for
    may_explain: bool = False  # whether even a mere note could explain a failure that nothing else does
    explains: tuple[str, ...] = ()  # codes of findings that follow from this one where they share a subject
