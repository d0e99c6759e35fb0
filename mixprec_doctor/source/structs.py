"""Structs made by a call: the fields of ``Name = defstruct("Name", fields)``, as msgspec and dataclasses have it.

The fields are read where they are a list. Where they are gathered from other structs instead (``for name, kind in
Name.__annotations__.items()``), those structs are the classes in the lists that the expression depends on, one
assignment after the other; a list of strings that the gathering function uses puts their fields in order.
"""

from __future__ import annotations

__all__ = ["Assembled", "assembled_fields", "tuple_fields"]

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.exports import Exports, Found, is_struct_call
from mixprec_doctor.source.module import ParsedModule

_POSITIONAL, _KEYWORD = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"
FieldsOf = Callable[[Found], tuple[Parameter, ...]]


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """The parameters of a struct made by a call, and the classes that they were gathered from."""

    parameters: tuple[Parameter, ...]
    gathered_from: tuple[str, ...] = ()


def assembled_fields(call: ast.Call, parsed: ParsedModule, exports: Exports, fields_of: FieldsOf) -> Assembled | None:
    """The parameters of the struct that a call makes; None when its fields cannot be read."""
    keyword_only = any(
        word.arg == "kw_only" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in call.keywords
    )
    kind = _KEYWORD if keyword_only else _POSITIONAL
    if len(call.args) < 2:
        return None
    wanted = call.args[1]
    if isinstance(wanted, (ast.List, ast.Tuple)):
        listed = [_listed(each, kind, parsed) for each in wanted.elts]
        return None if None in listed else Assembled(parameters=tuple(each for each in listed if each))
    return _gathered(wanted, kind, parsed, exports, fields_of)


def tuple_fields(call: ast.Call, parsed: ParsedModule) -> tuple[Parameter, ...] | None:
    """The parameters of ``namedtuple("Name", "a b", defaults=...)`` or ``NamedTuple("Name", [("a", int)])``."""
    if getattr(call.func, "attr", getattr(call.func, "id", "")) not in ("namedtuple", "NamedTuple"):
        return None
    wanted = call.args[1] if len(call.args) > 1 else None
    if isinstance(wanted, ast.Constant) and isinstance(wanted.value, str):
        parts: list[ast.expr] = [ast.Constant(value=name) for name in wanted.value.replace(",", " ").split()]
    elif isinstance(wanted, (ast.List, ast.Tuple)):
        parts = wanted.elts
    else:
        return None
    listed = [_listed(each, _POSITIONAL, parsed) for each in parts]
    defaults: list[ast.expr] = []
    for word in call.keywords:
        if word.arg in ("defaults", "rename"):
            if not isinstance(word.value, (ast.List, ast.Tuple)):
                return None
            defaults = word.value.elts
    fields = [each for each in listed if each is not None]
    if len(fields) != len(listed) or len(defaults) > len(fields):
        return None
    plain = len(fields) - len(defaults)
    given = [replace(each, required=False, default=parsed.text(value))
             for each, value in zip(fields[plain:], defaults, strict=True)]  # fmt: skip
    return (*fields[:plain], *given)


def _listed(node: ast.expr, kind: str, parsed: ParsedModule) -> Parameter | None:
    """``"name"``, ``("name", type)`` or ``("name", type, default)``."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]
    if not parts or not isinstance(parts[0], ast.Constant) or not isinstance(parts[0].value, str):
        return None
    return Parameter(
        name=parts[0].value,
        kind=kind,
        required=len(parts) < 3,
        default=parsed.text(parts[2]) if len(parts) > 2 else None,
        annotation=parsed.text(parts[1]) if len(parts) > 1 else None,
    )


def _gathered(
    wanted: ast.expr, kind: str, parsed: ParsedModule, exports: Exports, fields_of: FieldsOf
) -> Assembled | None:
    fields: dict[str, Parameter] = {}
    sources: list[str] = []
    order: list[str] = []
    expressions = list(_behind(wanted, parsed))
    for expression in expressions:
        for node in ast.walk(expression):
            if isinstance(node, (ast.List, ast.Tuple)):
                for found in _classes(node, parsed, exports):
                    sources.append(f"{found.module}.{found.name}")
                    for each in fields_of(found):
                        fields.setdefault(each.name, each)
    for expression in expressions:
        for node in ast.walk(expression):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                order = order or _order(node.func.id, fields, parsed, exports)
    if not fields:
        return None
    names = [*(name for name in order if name in fields), *(name for name in fields if name not in set(order))]
    return Assembled(
        parameters=tuple(
            Parameter(name=name, kind=kind, required=each.required, default=each.default, annotation=each.annotation)
            for name in names
            for each in (fields[name],)
        ),
        gathered_from=tuple(sources),
    )


def _behind(expression: ast.expr, parsed: ParsedModule) -> Iterator[ast.expr]:
    """An expression and what the module-level names in it were assigned, ``Name.attribute = value`` included."""
    waiting, seen = [expression], set[str]()
    while waiting:
        current = waiting.pop(0)
        yield current
        for node in ast.walk(current):
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting += _assigned(node.id, parsed)


def _assigned(name: str, parsed: ParsedModule) -> list[ast.expr]:
    values = [each.value for each in parsed.by_name.get(name, ()) if each.value and not is_struct_call(each.value)]
    for statement in parsed.tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Attribute) and getattr(target.value, "id", None) == name:
                    values.append(statement.value)
    return values


def _classes(node: ast.List | ast.Tuple, parsed: ParsedModule, exports: Exports) -> list[Found]:
    """The classes of a list that names nothing but classes."""
    found = []
    for each in node.elts:
        if not isinstance(each, ast.Name):
            return []
        origin = exports.look_up(parsed.name, each.id)
        if not isinstance(origin, Found) or not isinstance(origin.node, ast.ClassDef):
            return []
        found.append(origin)
    return found


def _order(function: str, fields: dict[str, Parameter], parsed: ParsedModule, exports: Exports) -> list[str]:
    """The names in a list of strings that a function uses, when most of them are fields."""
    found = exports.look_up(parsed.name, function)
    home = exports.sources.module(found.module) if isinstance(found, Found) else None
    if not isinstance(found, Found) or home is None or not isinstance(found.node, ast.FunctionDef):
        return []
    for node in ast.walk(home.whole(found.node)):
        if not isinstance(node, ast.Name):
            continue
        value = getattr(exports.look_up(home.name, node.id), "value", None)
        if isinstance(value, (ast.List, ast.Tuple)):
            names = [each.value for each in value.elts if isinstance(each, ast.Constant)]
            if len(fields.keys() & set(map(str, names))) * 2 > len(fields):
                return [str(name) for name in names]
    return []
