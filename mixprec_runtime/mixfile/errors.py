"""What can be wrong with a mix file: every fault at once, each with its place."""

from __future__ import annotations

__all__ = ["InvalidMix", "MixFault"]

from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.records.mix import Mark


@dataclass(frozen=True, kw_only=True)
class MixFault:
    """One fault and where it stands."""

    mark: Mark
    text: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.text}"


class InvalidMix(MixprecError):
    """A mix file that cannot be taken; nothing was done with it."""

    exit_code = ExitCode.MISUSE

    def __init__(self, file: Path, faults: tuple[MixFault, ...]) -> None:
        super().__init__(file, faults)
        self.file = file
        self.faults = faults

    def __str__(self) -> str:
        count = "a fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return f"the mix file has {count}\n" + "\n".join(f"  {fault}" for fault in self.faults)
