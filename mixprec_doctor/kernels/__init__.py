"""Kernels: which of an engine's kernels would serve a layer, read from its source and its compiled libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixprec_doctor.kernels.choosing import choose, choose_all, choose_layers
    from mixprec_doctor.kernels.engine import EngineKernels, open_kernels

__all__ = ["EngineKernels", "choose", "choose_all", "choose_layers", "open_kernels"]

_HOMES = {
    "EngineKernels": "mixprec_doctor.kernels.engine",
    "choose": "mixprec_doctor.kernels.choosing",
    "choose_all": "mixprec_doctor.kernels.choosing",
    "choose_layers": "mixprec_doctor.kernels.choosing",
    "open_kernels": "mixprec_doctor.kernels.engine",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Load what is asked for on first use: a worker of an engine needs the facts of portable kernels alone."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
