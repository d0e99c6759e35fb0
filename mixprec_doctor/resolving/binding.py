"""Bindings: how to call what a role resolved to, always by keyword."""

from __future__ import annotations

__all__ = ["bind"]

import ast
from collections.abc import Mapping

from mixprec_doctor.records.resolution import Binding, Parameter
from mixprec_doctor.records.role import CONFIG_ROLES, LINEAR_METHOD_ROLES, Role
from mixprec_doctor.source.constructors import base_classes, find_method
from mixprec_doctor.source.exports import Exports, Found

# What the engines' parameters mean, in the words of a checkpoint's own quantization_config.
_MEANINGS: Mapping[str, str] = {
    "activation_scheme": "activation_scheme",
    "bits": "bits",
    "desc_act": "desc_act",
    "dynamic": "dynamic",
    "full_config": "config",
    "group_size": "group_size",
    "ignored_layers": "ignored_layers",
    "is_checkpoint_fp8_serialized": "is_checkpoint_fp8_serialized",
    "is_sym": "sym",
    "lm_head_quantized": "lm_head",
    "modules_to_not_convert": "modules_to_not_convert",
    "quant_config": "config",
    "quantization_config": "config",
    "weight_bits": "bits",
    "weight_block_size": "weight_block_size",
    "zero_point": "zero_point",
}


def bind(role: Role, found: Found, parameters: tuple[Parameter, ...], exports: Exports) -> Binding | None:
    """The binding of a config or linear-method role; None for a role that is not constructed by mixprec."""
    if role in CONFIG_ROLES:
        if _reads_config(found, exports):
            return Binding(via="from_config")
        return _by_keyword(parameters)
    if role in LINEAR_METHOD_ROLES:
        return _by_keyword(parameters)
    return None


def _reads_config(found: Found, exports: Exports) -> bool:
    """Whether the class or a base implements ``from_config``: the door that keeps its shape."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.ClassDef):
        return False
    own = find_method(found.node, "from_config")
    lineage = [(found.node, parsed)] if own else base_classes(found.node, parsed, exports)
    for each, _ in lineage:
        door = find_method(each, "from_config")
        if door is not None:
            marks = {getattr(mark, "id", getattr(mark, "attr", "")) for mark in door.decorator_list}
            return "abstractmethod" not in marks
    return False


def _by_keyword(parameters: tuple[Parameter, ...]) -> Binding:
    named = [each for each in parameters if not each.kind.startswith("VAR_")]
    return Binding(
        via="constructor",
        kwargs={each.name: _MEANINGS[each.name] for each in named if each.name in _MEANINGS},
        unfilled=tuple(each.name for each in named if each.required and each.name not in _MEANINGS),
    )
