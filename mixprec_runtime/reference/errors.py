"""Errors of the reference: a checkpoint that cannot be read as float32 weights."""

from __future__ import annotations

__all__ = ["IncompleteLayer", "UnknownLayout"]

from collections.abc import Sequence

from mixprec_doctor.errors import MixprecError


class UnknownLayout(MixprecError):
    """A quantization configuration that no decoder is written for."""

    def __init__(self, where: str, found: str, known: Sequence[str]) -> None:
        super().__init__(where, found, tuple(known))  # the args are the fields, so a worker can pickle it
        self.where = where
        self.found = found
        self.known = tuple(known)

    def __str__(self) -> str:
        return (
            f"{self.where}: no float32 reading of {self.found}; known: {', '.join(self.known)}\n"
            "  try: a checkpoint in one of these layouts"
        )


class IncompleteLayer(MixprecError):
    """A module that lacks tensors of its layout, or has tensors that its layout does not know."""

    def __init__(self, module: str, layout: str, found: Sequence[str], wanted: Sequence[str]) -> None:
        super().__init__(module, layout, tuple(found), tuple(wanted))
        self.module = module
        self.layout = layout
        self.found = tuple(found)
        self.wanted = tuple(wanted)

    def __str__(self) -> str:
        return (
            f"{self.module}: a {self.layout} layer has {', '.join(self.wanted)}; "
            f"found {', '.join(self.found) or 'nothing'}\n"
            "  try: make the checkpoint again, it is damaged or of another layout than its config.json says"
        )
