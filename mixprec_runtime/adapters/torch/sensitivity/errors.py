"""Errors of weights: how far a source's weights are from the base's, without a text."""

from __future__ import annotations

__all__ = ["weight_errors"]

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from mixprec_runtime.adapters.torch.sensitivity.layers import UnitChoices
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.planning.neighbours import norms_of
from mixprec_runtime.records.mix import BASE_SOURCE
from mixprec_runtime.reference.weights import float32_modules


def weight_errors(folders: Mapping[str, Path], units: Sequence[UnitChoices]) -> Iterator[tuple[str, str, float]]:
    """Unit, source and ``sum of |W - W'|^2 / |W|^2 * parameters`` over the unit's modules, one module in memory.

    Where a norm before a module comes with the source, its change is multiplied into the module's columns first.
    """
    opened = {name: open_checkpoint(folder) for name, folder in folders.items()}
    base = opened[BASE_SOURCE]
    before = {partner: norm.module for norm in norms_of(base.modules) for partner in norm.partners}
    for unit in units:
        for source, modules in unit.modules.items():
            total = 0.0
            for module in modules:
                name = f"{module}.weight"
                own = float32_modules(base, [module]).get(name)
                if own is None or own.dim() != 2:
                    continue
                its = float32_modules(opened[source], [module])[name]
                norm = before.get(module)
                if norm in modules:
                    of_norm = f"{norm}.weight"
                    ratio = float32_modules(opened[source], [norm])[of_norm] / float32_modules(base, [norm])[of_norm]
                    its = its * torch.nan_to_num(ratio, nan=1.0, posinf=1.0, neginf=1.0)
                total += float((own - its).square().sum() / own.square().sum().clamp(min=1e-30)) * own.numel()
            yield unit.name, source, total
