"""Forwarding: further keywords of a constructor that it hands on, unlooked at, to another one."""

from __future__ import annotations

__all__ = ["Forwarding", "forwarding_of"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.constructors import base_classes, doubt_about, find_method, parameters_of, resolve_expression
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import ParsedModule


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """Where ``**kwargs`` of a constructor ends up."""

    target: Found
    parameters: tuple[Parameter, ...]
    looked_at: frozenset[str]  # keywords that the constructor asks about itself, and may take out
    added: frozenset[str]  # keywords that it gives the other one itself


def forwarding_of(found: Found, exports: Exports) -> Forwarding | None:
    """What takes the further keywords of a class; None where that is not one known thing that takes no others."""
    home = exports.sources.module(found.module)
    if home is None or not isinstance(found.node, ast.ClassDef):
        return None
    lineage = base_classes(found.node, home, exports)
    written = next(((init, at) for each, at in lineage if (init := find_method(each, "__init__"))), None)
    if written is None or written[0].args.kwarg is None:
        return None
    init, parsed = written
    body = parsed.whole(init)
    name = init.args.kwarg.arg if init.args.kwarg else ""
    calls = [node for node in ast.walk(body) if isinstance(node, ast.Call) and _hands_on(node, name)]
    if len(calls) != 1 or _escapes(body, name):
        return None
    target = _target(calls[0].func, lineage, parsed, exports)
    if target is None or doubt_about(target, exports) is not None:
        return None
    parameters = parameters_of(target, exports)
    if not parameters or any(each.kind.startswith("VAR_") for each in parameters):
        return None
    return Forwarding(
        target=target,
        parameters=parameters,
        looked_at=frozenset(_looked_at(body, name)),
        added=frozenset(_added(calls[0], parameters)),
    )


def _added(call: ast.Call, parameters: tuple[Parameter, ...]) -> Iterator[str]:
    """What a call gives beside the further keywords, by position or by name."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        yield from (each.name for each in parameters)
    by_position = [each.name for each in parameters if each.kind.startswith("POSITIONAL")]
    yield from by_position[: len(call.args)]
    yield from (word.arg for word in call.keywords if word.arg)


def _hands_on(call: ast.Call, name: str) -> bool:
    return any(word.arg is None and _is(word.value, name) for word in call.keywords)


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _escapes(body: ast.AST, name: str) -> bool:
    """Whether the keywords are assigned anew, or filled from elsewhere."""
    for node in ast.walk(body):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is(node.func.value, name):
            if node.func.attr not in ("get", "pop", "setdefault", "items", "keys", "values"):
                return True
            if node.func.attr == "pop" and not (node.args and isinstance(node.args[0], ast.Constant)):
                return True
    return False


def _looked_at(body: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(body):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is(node.value, name):
            key = node.slice
        elif isinstance(node, ast.Compare) and any(_is(each, name) for each in node.comparators):
            key = node.left
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is(node.func.value, name):
            key = node.args[0] if node.args else None
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


def _target(
    func: ast.expr, lineage: list[tuple[ast.ClassDef, ParsedModule]], parsed: ParsedModule, exports: Exports
) -> Found | None:
    """The class that is called: a name of the module, or ``self.name`` of a class that says what it stands for."""
    if isinstance(func, ast.Attribute) and _is(func.value, "self"):
        for each, home in lineage:
            for statement in each.body:
                target: ast.expr | None = statement.target if isinstance(statement, ast.AnnAssign) else None
                if isinstance(statement, ast.Assign):
                    target = statement.targets[0]
                value = getattr(statement, "value", None)
                if isinstance(target, ast.Name) and target.id == func.attr and isinstance(value, ast.Name):
                    return _class(resolve_expression(value, home, exports))
        return None
    return _class(resolve_expression(func, parsed, exports))


def _class(found: object) -> Found | None:
    return found if isinstance(found, Found) and isinstance(found.node, ast.ClassDef) and found.value is None else None
