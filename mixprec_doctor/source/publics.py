"""Public names: what ``__all__`` of a module holds, however it is put together."""

from __future__ import annotations

__all__ = ["Public", "Publics"]

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.truth import Truth, every

Judge = Callable[[Guard, ParsedModule], Truth]
Value = tuple[ast.expr, ParsedModule]  # an expression and the module that it stands in
_GATHERS = {"list", "tuple", "sorted", "set", "frozenset"}


@dataclass(frozen=True, kw_only=True)
class Public:
    """The names in ``__all__``, those of undecided guards with these guards; not ``readable``: there may be others."""

    names: dict[str, tuple[Guard, ...]] = field(default_factory=dict)
    readable: bool = True


class Publics:
    """Reads ``__all__`` once for each module. ``follow`` tells what a name or attribute is assigned, or which module
    it is."""

    def __init__(self, judge: Judge, follow: Callable[[ast.expr, ParsedModule], Value | ParsedModule | None]) -> None:
        self._judge = judge
        self._follow = follow
        self._known: dict[str, Public | None] = {}

    def of(self, parsed: ParsedModule) -> Public | None:
        """What ``__all__`` holds; None when the module has none."""
        if parsed.name not in self._known:
            self._known[parsed.name] = None  # an answer for a circle
            self._known[parsed.name] = self._read(parsed) if b"__all__" in parsed.source else None
        return self._known[parsed.name]

    def _read(self, parsed: ParsedModule) -> Public | None:
        names: dict[str, tuple[Guard, ...]] = {}
        there, readable = False, True
        for statement, guards in _walk(parsed.tree.body, ()):
            step = _step(statement)
            if step is None or (runs := every(self._judge(each, parsed) for each in guards)) is Truth.NO:
                continue
            kind, value = step
            found = self._names(value, parsed, names)
            there, readable = True, found is not None and (readable or kind == "set")
            if kind == "set" and runs is Truth.YES:
                names = {}
            for name in found or ():
                if kind == "remove":
                    names.pop(name, None)
                elif runs is Truth.YES:
                    names[name] = ()
                else:
                    names.setdefault(name, guards)
        return Public(names=names, readable=readable) if there else None

    def _names(
        self, node: ast.expr, parsed: ParsedModule, current: dict[str, tuple[Guard, ...]], depth: int = 0
    ) -> list[str] | None:
        """The strings that an expression gathers; None when it cannot be read."""
        if depth > 9:
            return None
        if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
            parts = node.keys if isinstance(node, ast.Dict) else node.elts
            return self._all([each or ast.Constant(value=None) for each in parts], parsed, current, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.BitOr)):
            return self._all([ast.Starred(value=node.left), ast.Starred(value=node.right)], parsed, current, depth)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in _GATHERS and len(node.args) == 1:
                return self._names(node.args[0], parsed, current, depth + 1)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "keys":
                return self._names(node.func.value, parsed, current, depth + 1)
            return None
        if isinstance(node, ast.Name) and node.id == "__all__":
            return list(current)
        if isinstance(node, ast.Attribute) and node.attr == "__all__":
            module = self._follow(node.value, parsed)
            public = self.of(module) if isinstance(module, ParsedModule) else None
            return list(public.names) if public and public.readable else None
        if isinstance(node, (ast.Name, ast.Attribute)):
            value = self._follow(node, parsed)
            return self._names(*value, {}, depth + 1) if isinstance(value, tuple) else None
        return None

    def _all(
        self, parts: list[ast.expr], parsed: ParsedModule, current: dict[str, tuple[Guard, ...]], depth: int
    ) -> list[str] | None:
        names: list[str] = []
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                names.append(part.value)
            elif (
                isinstance(part, ast.Starred)
                and (more := self._names(part.value, parsed, current, depth + 1)) is not None
            ):
                names += more
            elif isinstance(part, ast.Attribute) and part.attr == "__name__":  # f.__name__
                names.append(getattr(part.value, "id", ""))
            else:
                return None
        return names


def _step(statement: ast.stmt) -> tuple[str, ast.expr] | None:
    """What a statement does to ``__all__``: sets it, adds to it or takes from it."""
    if isinstance(statement, ast.Assign) and any(_is_all(each) for each in statement.targets):
        return "set", statement.value
    if isinstance(statement, ast.AnnAssign) and _is_all(statement.target) and statement.value is not None:
        return "set", statement.value
    if isinstance(statement, ast.AugAssign) and _is_all(statement.target):
        return "add", statement.value
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _is_all(call.func.value) and call.args:
        one = ast.List(elts=[call.args[0]], ctx=ast.Load())
        return {"extend": ("add", call.args[0]), "append": ("add", one), "remove": ("remove", one)}.get(call.func.attr)
    return None


def _is_all(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "__all__"


def _walk(body: list[ast.stmt], guards: tuple[Guard, ...]) -> Iterator[tuple[ast.stmt, tuple[Guard, ...]]]:
    for statement in body:
        yield statement, guards
        if isinstance(statement, ast.If):
            for branch, inner in ((Branch.IF, statement.body), (Branch.ELSE, statement.orelse)):
                yield from _walk(inner, (*guards, Guard(branch=branch, line=statement.lineno, test=statement.test)))
        elif isinstance(statement, ast.Try):
            before = tuple(statement.body)
            for branch, inner in ((Branch.TRY, statement.body), (Branch.TRY_ELSE, statement.orelse)):
                yield from _walk(inner, (*guards, Guard(branch=branch, line=statement.lineno, before=before)))
        elif isinstance(statement, ast.With):
            yield from _walk(statement.body, guards)
