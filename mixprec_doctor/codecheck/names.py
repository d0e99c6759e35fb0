"""Names: what an expression of the code stands for: something of a package, a class of the code, or neither."""

from __future__ import annotations

__all__ = ["Given", "Names", "OwnFile", "Thing"]

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mixprec_doctor.codecheck.needs import Alternative, Guard, Meaning, Target
from mixprec_doctor.codecheck.scopes import Bound, FileScopes, Scope
from mixprec_doctor.source.module import dotted
from mixprec_doctor.usercode.calls import Arguments, arguments_of

_DEEPEST = 12
_MOST_THINGS = 64
_IMPORTERS = {"import_module", "__import__", "importorskip"}

Guards = tuple[Guard, ...]


@dataclass(frozen=True)
class OwnFile:
    """A module of the code itself."""

    module: str


@dataclass(frozen=True)
class Thing:
    """What an expression may stand for, and the guards under which it does. ``own`` is a class or function of the
    code, with the scope that it is defined in; all None: neither that nor something of a package."""

    target: Target | None = None
    own: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None = None
    file: OwnFile | None = None
    guards: Guards = ()
    made: Arguments | None = None  # what a ``partial`` gave it


Given = Mapping[str, Scope]  # module scopes of the code by their dotted names


class Names:
    """Follows names through the files of some code to what the packages are wanted for."""

    def __init__(self, packages: Iterable[str]) -> None:
        self.packages = frozenset(packages)
        self.files: dict[str, Scope] = {}
        self.scopes: dict[int, Scope] = {}  # of functions and classes, by the id of their nodes

    def add(self, module: str, scopes: FileScopes) -> None:
        """Take a file of the code; of two so named the first stays."""
        known = self.files.get(module)
        if known is None or known.node is scopes.module.node:
            self.files[module] = scopes.module
        self.scopes |= scopes.scopes

    def is_wanted(self, module: str) -> bool:
        """Whether a module is of one of the packages."""
        return module.partition(".")[0] in self.packages

    def is_foreign(self, module: str) -> bool:
        """Whether no release of a package decides if a module is there."""
        return not self.is_wanted(module)

    def meaning(self, node: ast.expr, scope: Scope, line: int) -> Meaning:
        """What an expression stands for, as data; empty where it certainly is nothing of a package."""
        things = list(self.things(node, scope, line))
        if not any(each.target for each in things):
            return ()
        return tuple(Alternative(each.target, each.guards, each.made) for each in things)

    def things(self, node: ast.expr, scope: Scope, line: int, depth: int = 0) -> Iterator[Thing]:
        """All that an expression may stand for, in the order in which it is bound."""
        if depth:
            yield from self._things(node, scope, line, depth)
            return
        found = list(islice(self._things(node, scope, line, depth), _MOST_THINGS + 1))
        # Bound again and again from itself: what it is in the end, nobody can say.
        yield from found if len(found) <= _MOST_THINGS else (Thing(),)

    def _things(self, node: ast.expr, scope: Scope, line: int, depth: int) -> Iterator[Thing]:
        if depth > _DEEPEST:
            yield Thing()
        elif isinstance(node, ast.Name):
            yield from self._named(node.id, scope, line, depth)
        elif isinstance(node, ast.Attribute):
            for each in self.things(node.value, scope, line, depth + 1):
                yield from self._attribute(each, node.attr, depth)
        elif isinstance(node, ast.Subscript):
            yield from self.things(node.value, scope, line, depth + 1)
        elif isinstance(node, ast.Call):
            yield from self._called(node, scope, line, depth)
        elif isinstance(node, ast.Lambda):
            yield Thing(own=node)
        else:
            yield Thing()

    def _named(self, name: str, scope: Scope, line: int, depth: int) -> Iterator[Thing]:
        found = scope.find(name)
        if found is None:
            yield Thing()
            return
        home, bounds = found
        if home is scope:
            before = [each for each in bounds if each.line < line or (each.line == line and _is_import(each))]
            bounds = before or bounds
        for bound in bounds:
            for each in self._bound(bound, home, depth):
                yield _guarded(each, bound.guards)

    def _bound(self, bound: Bound, home: Scope, depth: int) -> Iterator[Thing]:
        thing = bound.thing
        if isinstance(thing, tuple):
            yield from self._imported(thing, depth)
        elif isinstance(thing, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Thing(own=thing)
        elif isinstance(thing, ast.expr):
            yield from self.things(thing, home, bound.line, depth + 1)
        else:
            yield Thing()

    def _imported(self, thing: tuple[str, ...], depth: int) -> Iterator[Thing]:
        module, name = thing[0], thing[1] if len(thing) > 1 else None
        if self.is_wanted(module):
            yield Thing(target=Target(module, (name,) if name else ()))
        elif name is None:
            yield Thing(file=OwnFile(module)) if module in self.files else Thing()
        else:
            yield from self._attribute(Thing(file=OwnFile(module)), name, depth)

    def _attribute(self, thing: Thing, name: str, depth: int) -> Iterator[Thing]:
        if thing.target is not None and thing.made is None:
            yield Thing(target=thing.target.then(name), guards=thing.guards)
            return
        module = thing.file.module if thing.file is not None else None
        if module is None:
            yield Thing(guards=thing.guards)
            return
        scope = self.files.get(module)
        if scope is not None and name in scope.names and depth < _DEEPEST:
            for bound in scope.names[name]:
                for each in self._bound(bound, scope, depth + 1):
                    yield _guarded(each, (*thing.guards, *bound.guards))
        elif f"{module}.{name}" in self.files:
            yield Thing(file=OwnFile(f"{module}.{name}"), guards=thing.guards)
        else:
            yield Thing(guards=thing.guards)

    def _called(self, node: ast.Call, scope: Scope, line: int, depth: int) -> Iterator[Thing]:
        last = dotted(node.func).rpartition(".")[2]
        if (module := imported_by_call(node)) is not None and self.is_wanted(module):
            yield Thing(target=Target(module.partition(".")[0] if last == "__import__" else module))
        elif last == "getattr" and len(node.args) in (2, 3) and (name := text_of(node.args[1])) is not None:
            for each in self.things(node.args[0], scope, line, depth + 1):
                yield from self._attribute(each, name, depth)
            if len(node.args) == 3:
                yield Thing()
        elif last == "partial" and node.args:
            given = arguments_of(node, skip=1)
            for each in self.things(node.args[0], scope, line, depth + 1):
                yield Thing(target=each.target, guards=each.guards, made=given)
        else:
            yield Thing()


def imported_by_call(node: ast.Call) -> str | None:
    """The module that ``import_module("vllm.config")`` and the like import."""
    if dotted(node.func).rpartition(".")[2] in _IMPORTERS and node.args:
        name = text_of(node.args[0])
        return name if name and not name.startswith(".") else None
    return None


def text_of(node: ast.expr | None) -> str | None:
    """The string that stands there."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _guarded(thing: Thing, guards: Guards) -> Thing:
    if not guards:
        return thing
    return Thing(target=thing.target, own=thing.own, file=thing.file, guards=(*guards, *thing.guards), made=thing.made)


def _is_import(bound: Bound) -> bool:
    return isinstance(bound.thing, tuple)
