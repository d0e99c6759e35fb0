"""What can be wrong with a checkpoint folder, in the words of the one who has to mend it."""

from __future__ import annotations

__all__ = ["BrokenSafetensors", "CheckpointError"]

from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError


class CheckpointError(MixprecError):
    """A checkpoint folder that cannot be used. ``code`` is the code of the finding it becomes."""

    code = "MP610"
    exit_code = ExitCode.FINDINGS

    def __init__(self, path: Path, fault: str, remedy: str | None = None) -> None:
        super().__init__(path, fault, remedy)
        self.path = path
        self.fault = fault
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path} {self.fault}" + (f"\n  try: {self.remedy}" if self.remedy else "")


class BrokenSafetensors(CheckpointError):
    """A safetensors file that is cut off, or whose header contradicts itself."""

    code = "MP611"

    def __init__(self, path: Path, fault: str, remedy: str | None = None) -> None:
        super().__init__(path, fault, remedy or "fetch or copy that file again and compare its size or hash")
