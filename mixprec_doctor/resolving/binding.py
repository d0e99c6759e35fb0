"""Bindings: how to call what a role resolved to, always by keyword."""

from __future__ import annotations

__all__ = ["bind"]

import ast
from collections.abc import Iterator, Mapping

from mixprec_doctor.records.reading import Reading
from mixprec_doctor.records.resolution import Binding, Parameter
from mixprec_doctor.records.role import CONFIG_ROLES, LINEAR_METHOD_ROLES, Role
from mixprec_doctor.resolving.readings import Door, read_door
from mixprec_doctor.resolving.values import Kind, Value
from mixprec_doctor.source.constructors import Lineage, base_classes, find_method, resolve_expression
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import ParsedModule, parse_expression

# What parameters mean in the words of a checkpoint's quantization_config, for classes whose source does not tell:
# those without a from_config. Its keys also decide which of several that a from_config tries gives the name.
_MEANINGS: Mapping[str, str] = {
    "activation_scheme": "activation_scheme",
    "bits": "bits",
    "desc_act": "desc_act",
    "dynamic": "dynamic",
    "full_config": "config",
    "group_size": "group_size",
    "ignored_layers": "ignored_layers",
    "is_sym": "sym",
    "lm_head_quantized": "lm_head",
    "modules_to_not_convert": "modules_to_not_convert",
    "quant_config": "config",
    "quantization_config": "config",
    "weight_bits": "bits",
    "weight_block_size": "weight_block_size",
    "zero_point": "zero_point",
}
_CONFIG_NAMES = frozenset({"quant_config", "quantization_config"})


def bind(role: Role, found: Found, parameters: tuple[Parameter, ...], exports: Exports) -> Binding | None:
    """The binding of a config or linear-method role; None for a role that is not constructed by mixprec."""
    if role in CONFIG_ROLES:
        door = read_door(_lineage(found, exports, "from_config"), parameters)
        return _by_door(door, parameters) if door is not None else _by_name(parameters)
    if role in LINEAR_METHOD_ROLES:
        return _by_config(found, parameters, exports)
    return None


def _lineage(found: Found, exports: Exports, method: str) -> Lineage:
    """The class and its bases; the class alone where that has the method and does not hand on to a base."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.ClassDef):
        return []
    own = find_method(found.node, method)
    if own is not None and not _calls_super(parsed.whole(own)):
        return [(found.node, parsed)]
    return base_classes(found.node, parsed, exports)


def _calls_super(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(function))


def _by_door(door: Door, parameters: tuple[Parameter, ...]) -> Binding:
    """Through ``from_config``: what it leaves out of a constructor's required arguments nobody can fill."""
    arguments = door.arguments or {}
    named = [each for each in parameters if not each.kind.startswith("VAR_")]
    left_out = [each.name for each in named if each.required and each.name not in arguments] if door.whole else []
    return Binding(
        via="from_config",
        kwargs={door.config: "config"},
        readings={name: _reading(value, door) for name, value in arguments.items()},
        asked=door.asked,
        unfilled=(*door.others, *left_out),
    )


def _reading(value: Value, door: Door) -> Reading:
    if value.kind is Kind.READ:
        usual = [key for key in value.keys if key in _MEANINGS.values()]
        return Reading(
            meaning=(usual or value.keys)[0],
            keys=value.keys,
            required=value.required and any(set(keys) <= set(value.keys) for keys in door.required),
            default=value.default,
            exact=value.exact,
        )
    meaning = "config" if value.kind is Kind.CONFIG else value.text
    return Reading(meaning=meaning, keys=value.keys, exact=value.exact)


def _by_name(parameters: tuple[Parameter, ...]) -> Binding:
    """Without ``from_config`` the parameters' names are all there is to go by."""
    named = [each for each in parameters if not each.kind.startswith("VAR_")]
    readings = {
        each.name: Reading(
            meaning=_MEANINGS[each.name],
            keys=() if _MEANINGS[each.name] == "config" else (_MEANINGS[each.name],),
            required=each.required,
            default=each.default,
        )
        for each in named
        if each.name in _MEANINGS
    }
    return Binding(
        via="constructor",
        kwargs={name: reading.meaning for name, reading in readings.items()},
        readings=readings,
        unfilled=tuple(each.name for each in named if each.required and each.name not in readings),
    )


def _by_config(found: Found, parameters: tuple[Parameter, ...], exports: Exports) -> Binding:
    """A linear method takes its config; every other argument that it requires stays open."""
    named = [each for each in parameters if not each.kind.startswith("VAR_")]
    required = [each for each in named if each.required]
    home = _constructor_home(found, exports)
    annotated = [each for each in named if home is not None and _is_config(each.annotation, home, exports)]
    usual = [each for each in named if each.name in _CONFIG_NAMES]
    only = required if len(required) == 1 else []
    taker = next(iter([*annotated, *usual, *only]), None)
    return Binding(
        via="constructor",
        kwargs={taker.name: "config"} if taker else {},
        readings=(
            {taker.name: Reading(meaning="config", required=taker.required, default=taker.default)} if taker else {}
        ),
        unfilled=tuple(each.name for each in required if each is not taker),
    )


def _constructor_home(found: Found, exports: Exports) -> ParsedModule | None:
    """The module whose names the constructor's annotations use."""
    lineage = _lineage(found, exports, "__init__")
    return next((home for node, home in lineage if find_method(node, "__init__")), None)


def _is_config(annotation: str | None, home: ParsedModule, exports: Exports) -> bool:
    """Whether an annotation names a class that is made from a checkpoint's config, one of several included."""
    for name in _names(annotation):
        origin = resolve_expression(name, home, exports)
        if not isinstance(origin, Found) or not isinstance(origin.node, ast.ClassDef):
            continue
        parsed = exports.sources.module(origin.module)
        lineage = base_classes(origin.node, parsed, exports) if parsed else []
        if any(find_method(node, "from_config") for node, _ in lineage):
            return True
    return False


def _names(annotation: str | None) -> Iterator[ast.Name | ast.Attribute]:
    """The names in an annotation, those inside its strings included."""
    try:
        tree = parse_expression(annotation or "")
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield node
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != annotation:
            yield from _names(node.value)
