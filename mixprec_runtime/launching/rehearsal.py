"""A launch on paper: the command for a machine that is not this one, from a setup that was made there."""

from __future__ import annotations

__all__ = ["Rehearsal", "rehearse"]

from dataclasses import dataclass, replace
from pathlib import Path

from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.records.setup import Setup
from mixprec_doctor.records.workload import Workload, WorkloadLayer
from mixprec_doctor.setup import InvalidSetup, read_setup, valid_choices
from mixprec_runtime.launching.command import ServeCommand


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a setup made elsewhere says of a launch there. Nothing of it is compared with this machine."""

    setup: Setup
    file: Path

    @property
    def plugins(self) -> bool:
        """Whether the engine there calls plugins in the processes that load weights."""
        return any(each.role is Role.PLUGIN_HOOK and each.status is Status.FOUND for each in self.setup.resolutions)

    def kernels(self, workload: Workload) -> tuple[tuple[KernelChoice, ...], tuple[WorkloadLayer, ...]]:
        """What was chosen there for a workload's layers, and the layers of which the setup proves nothing.

        A checkpoint may lie elsewhere here: then its last folder's name tells which one is meant.
        """
        held, missing = valid_choices(self.setup, (), workload)
        places = {Path(layer.folder).name: layer.folder for layer in missing if layer.folder}
        moved = tuple(
            replace(choice, folder=places[Path(choice.folder).name])
            for choice in self.setup.choices
            if choice.folder and Path(choice.folder).name in places
        )
        more, missing = valid_choices(replace(self.setup, choices=moved), (), replace(workload, layers=missing))
        return (*held, *more), missing

    def typed_there(self, command: ServeCommand) -> ServeCommand:
        """The command with the interpreter of the setup's environment."""
        prefix = self.setup.fingerprint.interpreter.get("prefix")
        python = str(Path(prefix) / "bin" / "python") if prefix else command.words[0]
        return replace(command, words=(python, *command.words[1:]))


def rehearse(file: Path, *, engine: str) -> Rehearsal:
    """The rehearsal of a setup. Raises InvalidSetup for one that is none, or for another engine than is asked for."""
    setup = read_setup(file)
    if engine not in ("auto", setup.engine):
        raise InvalidSetup(file, f"is for {setup.engine}, wanted {engine}")
    return Rehearsal(setup=setup, file=file)
