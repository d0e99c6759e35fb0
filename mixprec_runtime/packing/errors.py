"""Errors of packing: what was wanted, what was found."""

from __future__ import annotations

__all__ = ["UnpackableShape"]

from collections.abc import Sequence

from mixprec_doctor.errors import MixprecError


class UnpackableShape(MixprecError):
    """A tensor whose shape does not fit the layout it is to be packed in."""

    def __init__(self, what: str, shape: Sequence[int], wanted: str) -> None:
        super().__init__(what, tuple(shape), wanted)  # the args are the fields, so a worker can pickle it
        self.what = what
        self.shape = tuple(shape)
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"{self.what} of shape {list(self.shape)} cannot be packed: wanted {self.wanted}\n"
            "  try: another group size, or leave this layer unquantized"
        )
