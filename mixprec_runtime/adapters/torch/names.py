"""Names: what transformers calls what a checkpoint names, by its own rules for loading that checkpoint."""

from __future__ import annotations

__all__ = ["Names", "Stacked"]

import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import Concatenate, MergeModulelist, WeightConverter, WeightRenaming
from transformers.core_model_loading import rename_source_key as renamed

WEIGHT = ".weight"
_NUMBER = re.compile(r"\.experts\.(\d+)\.")


@dataclass(frozen=True)
class Stacked:
    """One expert's matrix within a parameter that stacks all of them."""

    parameter: str
    expert: int
    part: int  # of ``parts`` that lie one below the other
    parts: int


class Names:
    """Names of a model's parameters and modules, by the names of its checkpoint."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401  transformers is untyped
        rules = get_model_conversion_mapping(model)
        self._renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        self._converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
        self._prefix = model.base_model_prefix
        self._known: dict[str, torch.Tensor] = model.state_dict()

    def tensor(self, name: str) -> str | Stacked:
        """Where a plain tensor of the checkpoint belongs."""
        found, pattern = renamed(name, self._renamings, self._converters, self._prefix, self._known)
        if pattern is None:
            return str(found)
        rule = next(rule for rule in self._converters if pattern in rule.source_patterns)
        number = _NUMBER.search(name)
        kinds = [type(step) for step in rule.operations]
        if number is None or kinds not in ([MergeModulelist], [MergeModulelist, Concatenate]):
            return name
        parts = list(rule.source_patterns)
        return Stacked(str(found), int(number[1]), parts.index(pattern), len(parts))

    def module(self, name: str) -> str | Stacked:
        """Where a module of the checkpoint that has a weight belongs."""
        found = self.tensor(f"{name}{WEIGHT}")
        return found.removesuffix(WEIGHT) if isinstance(found, str) else found
