"""Errors of portable kernels: weights that were handed over and cannot be prepared."""

from __future__ import annotations

__all__ = ["UnpreparableWeight"]

from mixprec_doctor.errors import MixprecError


class UnpreparableWeight(MixprecError):
    """Tensors of a layer that a kernel cannot take; ``found`` says what they are."""

    def __init__(self, kernel: str, layout: str, wanted: str, found: str) -> None:
        super().__init__(kernel, layout, wanted, found)  # the args are the fields, so a worker can pickle it
        self.kernel = kernel
        self.layout = layout
        self.wanted = wanted
        self.found = found

    def __str__(self) -> str:
        return (
            f"the {self.kernel} kernel cannot prepare a layer of {self.layout}: wanted {self.wanted}, "
            f"found {self.found}\n"
            "  try: mixprec doctor --verify --mix MIX, which chooses kernels for the layers as they are"
        )
