"""Target: which environment is meant."""

from __future__ import annotations

__all__ = ["NoSuchTarget", "Target", "UnreadableEnvironment"]

from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError


@dataclass(frozen=True, kw_only=True)
class Target:
    """The environment to examine; with neither field set, that of the running interpreter."""

    python: Path | None = None  # an interpreter, or the folder of a virtual environment
    site_packages: Path | None = None  # a folder of installed packages, or of a virtual environment

    def __str__(self) -> str:
        return str(self.python or self.site_packages or "the running interpreter")


class NoSuchTarget(MixprecError):
    """The user named an environment that is not there."""

    exit_code = ExitCode.MISUSE

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(path, wanted)
        self.path = path
        self.wanted = wanted

    def __str__(self) -> str:
        return f"{self.path}: {self.wanted}"


class UnreadableEnvironment(MixprecError):
    """The environment is there but could not be read, so nothing was examined."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.fault}\n  nothing was examined; "
            "with --site-packages DIR the environment is read without running its interpreter"
        )
