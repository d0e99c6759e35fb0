"""The names of the original system: they work with the engine that is there, and cost nothing until they are used.

Classes stand for those of the bound engine's adapter; functions take a live model of it.
"""

from __future__ import annotations

__all__ = [
    "CLASSES",
    "FUNCTIONS",
    "find",
    "initialize_specific_layers",
    "load_model_weights",
    "replace_linear_with_mixed_precision",
]

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mixprec_runtime.binding import Deferred, bound, bound_names

if TYPE_CHECKING:
    from torch import device as Device
    from torch.nn import Module

    from mixprec_runtime.records.account import LoadAccount
    from mixprec_runtime.records.plan import Plan
    from mixprec_runtime.records.replacements import Replacements

CLASSES: Mapping[str, Deferred] = {
    name: Deferred(name, promise)
    for name, promise in {
        "TrueMixedPrecisionLoader": "The engine's DefaultModelLoader, fed with the planned tensors only, and strict.",
        "TrueMixedPrecisionConfig": "The engine's quantization config, which answers by each layer's source.",
        "MixedPrecisionLinear": "The engine's LinearBase, which owns the compressed weights of a planned layer.",
    }.items()
}


def find(name: str) -> Any:  # noqa: ANN401
    """What a name stands for: an engine's class once one is bound, what binds on its first use before."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    return getattr(bound_names(), name) if bound() is not None else CLASSES[name]


def replace_linear_with_mixed_precision(
    model: Module,
    plan: Plan | str | os.PathLike[str],
    *,
    layers: Iterable[str] | str | None = None,
    initialize: bool = True,
    portable: bool = False,
) -> Replacements:
    """Put a MixedPrecisionLinear into every place of a live model that holds a linear layer which the plan quantizes.

    ``plan`` is a Plan, a mix file or a run folder. ``layers`` narrows it to some: names of the checkpoint or of the
    engine's model, or ``re:`` and an expression. The layers have empty parameters afterwards, none yet with
    ``initialize=False``; ``load_model_weights`` fills them. ``portable`` takes mixprec's kernels whatever the engine
    has. Gives what was replaced, what was left and why, and which planned modules the model has no layer for.
    Raises RefusedPlan, UnknownLayers, SplitUnit, NotReplaced, NoEngineToBind.
    """
    surface = bound_names().SURFACE
    from mixprec_runtime.adapters.replacing import replace_layers

    return replace_layers(model, plan, surface, layers=layers, initialize=initialize, portable=portable)


def initialize_specific_layers(
    model: Module,
    plan: Plan | str | os.PathLike[str],
    layers: Iterable[str] | str,
    *,
    device: Device | str | None = None,
    portable: bool = False,
) -> Replacements:
    """Make just the named layers' compressed parameters, empty, on their device or another one.

    Layers that were not replaced yet are; what a layer held is let go, so a filled one begins anew. Raises what
    ``replace_linear_with_mixed_precision`` raises.
    """
    surface = bound_names().SURFACE
    from mixprec_runtime.adapters.replacing import replace_layers

    return replace_layers(model, plan, surface, layers=layers, anew=True, portable=portable, device=device)


def load_model_weights(
    model: Module,
    plan: Plan | str | os.PathLike[str],
    *,
    layers: Iterable[str] | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadAccount:
    """Fill a live model from the plan's checkpoints, every parameter exactly once, have the engine repack it, account.

    With ``layers`` only these are filled, and anything else that is written is a fault. ``progress`` is told bytes
    done and bytes in all. Raises StrictLoadingError with the list of faults, UnknownLayers, HalfTold, RefusedPlan,
    NoEngineToBind.
    """
    surface = bound_names().SURFACE
    from mixprec_runtime.adapters.filling import fill

    return fill(model, plan, surface, layers=layers, progress=progress)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (replace_linear_with_mixed_precision, initialize_specific_layers, load_model_weights)
}
