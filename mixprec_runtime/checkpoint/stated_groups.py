"""What the ``config_groups`` of a compressed-tensors config say of one module.

Targets and ``ignore`` are matched as ``compressed_tensors.utils.match`` does: an exact name, ``re:`` and an expression
from the name's start, or the class name ``Linear``; ``ignore`` comes first, then the first group that matches.
"""

from __future__ import annotations

__all__ = ["read_groups"]

from collections.abc import Mapping

from mixprec_doctor.records.format import Activation, FormatKind
from mixprec_runtime.checkpoint.stated import (
    ALL_INPUTS,
    StatedFormat,
    StatedPlain,
    Unstated,
    expression,
    integer,
    pair,
    strings,
)

KINDS: Mapping[str, FormatKind] = {
    "pack-quantized": FormatKind.PACKED,
    "int-quantized": FormatKind.INT8,
    "float-quantized": FormatKind.FP8,
    "nvfp4-pack-quantized": FormatKind.NVFP4,
    "mxfp4-pack-quantized": FormatKind.MXFP4,
}
BY_TYPE = frozenset({"naive-quantized", "mixed-precision", "None", ""})
"""Formats that leave it to each group's weights."""


def read_groups(quantization: Mapping[str, object], module: str | None) -> StatedFormat | StatedPlain | Unstated:
    """The first group that a module falls in; a module in none is not quantized."""
    if module is not None:
        for entry in strings(quantization.get("ignore")):
            if _matches(entry, module):
                return StatedPlain(by=f"ignore {entry!r}")
    groups = quantization.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        return Unstated(reason="config_groups are missing")
    for name, group in groups.items():
        if not isinstance(group, dict):
            continue
        targets = strings(group.get("targets"))
        if not targets and module is not None:
            return Unstated(reason=f"config group {name!r} has no targets")
        if module is None or any(_matches(target, module) for target in targets):
            return _group(quantization, name, group)
    return StatedPlain(by="no config group")


def _matches(target: str, module: str) -> bool:
    if target.startswith("re:"):
        known = expression(target[3:])
        return known is not None and known.match(module) is not None
    return target in (module, "Linear")


def _group(quantization: Mapping[str, object], name: object, group: Mapping[str, object]) -> StatedFormat | Unstated:
    weights = group.get("weights")
    if not isinstance(weights, dict):
        return Unstated(reason=f"config group {name!r} says nothing of weights")
    kind = _kind(str(group.get("format") or quantization.get("format") or ""), weights)
    if kind is None:
        return Unstated(reason=f"config group {name!r} has a format that is not known")
    symmetric, strategy = weights.get("symmetric"), weights.get("strategy")
    packed = kind in (FormatKind.PACKED, FormatKind.INT8)
    order = weights.get("actorder")
    size = integer(weights.get("group_size"))
    return StatedFormat(
        kind=kind,
        bits=integer(weights.get("num_bits")),
        group=ALL_INPUTS if strategy == "channel" and kind is FormatKind.PACKED else size,
        scale=str(strategy) if strategy in ("tensor", "channel", "block") and kind is not FormatKind.PACKED else None,
        block=pair(weights.get("block_structure")) if strategy == "block" else None,
        symmetric=symmetric if packed and isinstance(symmetric, bool) else None,
        act_order=order in ("group", True) if kind is FormatKind.PACKED else None,
        activation=_activation(group),
    )


def _kind(form: str, weights: Mapping[str, object]) -> FormatKind | None:
    if form in KINDS:
        return KINDS[form]
    if form not in BY_TYPE:
        return None
    bits, numbers = integer(weights.get("num_bits")), weights.get("type", "int")
    if numbers == "float":
        if bits == 8:
            return FormatKind.FP8
        return FormatKind.MXFP4 if integer(weights.get("group_size")) == 32 else FormatKind.NVFP4
    return FormatKind.INT8 if bits == 8 else FormatKind.PACKED


def _activation(group: Mapping[str, object]) -> Activation | None:
    if "input_activations" not in group:
        return None
    inputs = group["input_activations"]
    if not isinstance(inputs, dict):
        return Activation.NONE
    return Activation.DYNAMIC if inputs.get("dynamic") else Activation.STATIC
