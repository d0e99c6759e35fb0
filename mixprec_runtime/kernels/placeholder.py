"""A placeholder: what stands where no kernel computes. It can be made, copied, pickled and shown; using it raises."""

from __future__ import annotations

__all__ = ["Placeholder", "PlaceholderUsed"]

from dataclasses import dataclass
from typing import NoReturn

from mixprec_doctor.errors import ExitCode, MixprecError


class PlaceholderUsed(MixprecError):
    """A layer was used that nothing here can compute."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, form: str, reasons: tuple[str, ...]) -> None:
        super().__init__(layer, form, reasons)
        self.layer = layer
        self.form = form
        self.reasons = reasons

    def __str__(self) -> str:
        lines = [f"no kernel computes {self.layer} ({self.form}) here; a placeholder stands in its place"]
        lines += [f"  {reason}" for reason in self.reasons]
        return "\n".join([*lines, "  try: another source for this layer in the mix file, or mixprec doctor --verify"])


@dataclass(frozen=True)
class Placeholder:
    """Stands for a layer of a format that nothing here computes, and knows every candidate's reason."""

    layer: str
    form: str
    reasons: tuple[str, ...] = ()

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Raises PlaceholderUsed."""
        raise PlaceholderUsed(self.layer, self.form, self.reasons)
