"""Kernels of a plan before anything has run: what a setup has proved here, else what reading the engine says."""

from __future__ import annotations

__all__ = ["foresee", "foresee_release"]

from pathlib import Path

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.kernels import EngineKernels, choose_all, choose_layers
from mixprec_doctor.machine import read_machine
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.workload import Workload
from mixprec_runtime.launching.verified import revalidate, setup_place
from mixprec_runtime.planning.portable import portable_choices

PREFERRED = ("vllm", "sglang", "torch")
EMBEDDED = "torch"


def foresee(workload: Workload, *, engine: str, root: Path, machine: Machine | None = None) -> tuple[KernelChoice, ...]:
    """The choices for each layer of a workload; empty where there is no engine to read.

    ``engine`` is its name or "auto". A described ``machine`` is judged by reading alone; nothing was proved on it.
    """
    environment = read_environment(Target())
    found = {each.engine: each for each in find_engines(environment) if each.root is not None}
    name = next((each for each in PREFERRED if each in found), None) if engine == "auto" else engine
    if name is None or name not in found:
        return ()
    if name == EMBEDDED:
        return portable_choices(workload)
    proved: tuple[KernelChoice, ...] = ()
    if machine is None:
        kept = setup_place(engine=name, root=root)
        verified = revalidate(workload, engine=name, named=None, kept=kept)
        if not verified.missing:
            return verified.choices
        proved = verified.choices
    read = choose_all(workload, environment, engine=found[name], machine=machine or read_machine())
    known = {(choice.folder, choice.format, choice.shape): choice for choice in proved}
    return tuple(known.get((choice.folder, choice.format, choice.shape), choice) for choice in read)


class NotOneRelease(MixprecError):
    """A requirement that names more than one release, or none."""

    def __init__(self, requirement: str, versions: tuple[str, ...]) -> None:
        super().__init__(requirement, versions)
        self.requirement = requirement
        self.versions = versions

    def __str__(self) -> str:
        found = f"{len(self.versions)}: {', '.join(self.versions[-5:])}" if self.versions else "none"
        return f"wanted one release, {self.requirement} names {found}\n  try: --against 'vllm==0.32.0'"


def foresee_release(workload: Workload, requirement: str, *, machine: Machine) -> tuple[KernelChoice, ...]:
    """The choices that the source of a release leads to, which need not be installed; its libraries stay unread.

    Raises NotOneRelease, and what finding and reading a release raises.
    """
    from mixprec_doctor.index.requirements import find_each
    from mixprec_doctor.resolving.releases import open_source

    releases = find_each(requirement)
    if len(releases) != 1:
        raise NotOneRelease(requirement, tuple(each.version for each in releases))
    build = "cuda" if machine.accelerators else "cpu"
    with open_source(releases[0]) as (_, source):
        return choose_layers(workload, EngineKernels(source, version=releases[0].version, build=build), machine=machine)
