"""Lineage: a class and what it inherits from, in Python's own order, as far as the source is at hand."""

from __future__ import annotations

__all__ = ["Lineage", "base_classes", "base_names", "find_method", "last_name", "resolve_expression", "unread_bases"]

import ast
from collections.abc import Iterator

from mixprec_doctor.source.exports import Exports, Found, Outside
from mixprec_doctor.source.module import ParsedModule

_DEEPEST = 30
_BRING_NOTHING = {
    "object",
    "ABC",
    "Generic",
    "Protocol",
    "TypedDict",
    "Hashable",
    "Sized",
    "Callable",
    "Iterable",
    "Iterator",
}

Lineage = list[tuple[ast.ClassDef, ParsedModule]]  # a class and its bases, nearest first


def base_classes(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> Lineage:
    """The class and what it inherits from, in method resolution order."""
    return _order(node, parsed, exports, ())


def base_names(node: ast.ClassDef) -> list[str]:
    """The last parts of the bases' names: ``torch.nn.Module`` gives ``Module``."""
    return [last_name(base) for base in node.bases]


def unread_bases(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> Iterator[str]:
    """The bases of a class whose source is not at hand and that may bring a constructor, as dotted names."""
    for base in node.bases:
        if last_name(base) in _BRING_NOTHING or isinstance(base, ast.Call):
            continue
        found = resolve_expression(base, parsed, exports)
        if not isinstance(found, Found) or not isinstance(found.node, ast.ClassDef):
            yield f"{found.module}.{found.name}" if isinstance(found, (Found, Outside)) else parsed.text(base)


def resolve_expression(node: ast.expr, parsed: ParsedModule, exports: Exports) -> object:
    """What a name or dotted name of a module means."""
    if isinstance(node, ast.Subscript):  # Generic[T]
        node = node.value
    if isinstance(node, ast.Name):
        return exports.look_up(parsed.name, node.id)
    if isinstance(node, ast.Attribute):
        base = resolve_expression(node.value, parsed, exports)
        if isinstance(base, Found) and base.node is None:
            return exports.look_up(base.module, node.attr)
        if isinstance(base, Outside):
            return Outside(module=f"{base.module}.{base.name}", name=node.attr)
    return None


def find_method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The last definition of a method in a class body, that of an ``if`` or ``else`` included."""
    found = None
    for statement in _flat(node.body):
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            overloaded = any(last_name(decorator) == "overload" for decorator in statement.decorator_list)
            found = found if overloaded else statement
    return found


def last_name(node: ast.expr | None) -> str:
    """``c`` of ``a.b.c``, of a call of it and of a subscript of it; empty for anything else."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _order(node: ast.ClassDef, parsed: ParsedModule, exports: Exports, above: tuple[int, ...]) -> Lineage:
    own = (node, parsed)
    if id(node) in above or len(above) > _DEEPEST:
        return [own]
    parents: Lineage = []
    for base in node.bases:
        found = resolve_expression(base, parsed, exports)
        if isinstance(found, Found) and isinstance(found.node, ast.ClassDef) and found.node is not node:
            home = exports.sources.module(found.module)
            if home is not None and id(found.node) not in above:
                parents.append((found.node, home))
    lines = [_order(*parent, exports, (*above, id(node))) for parent in parents]
    return [own, *_merged([*lines, parents])]


def _merged(lines: list[Lineage]) -> Lineage:
    """Python's C3 merge; what it would refuse comes in the order of the source."""
    merged: Lineage = []
    while lines := [line for line in lines if line]:
        later = {id(node) for line in lines for node, _ in line[1:]}
        first = next((line[0] for line in lines if id(line[0][0]) not in later), lines[0][0])
        merged.append(first)
        lines = [[each for each in line if each[0] is not first[0]] for line in lines]
    return merged


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _flat([*statement.body, *statement.orelse])
