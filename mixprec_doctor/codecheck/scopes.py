"""Scopes: what each name of a file is bound to, where, and under which guards; and its statements, one by one."""

from __future__ import annotations

__all__ = ["Bound", "FileScopes", "Scope", "Site", "read_scopes", "words_of"]

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mixprec_doctor.codecheck.needs import Guard, Handler, Try, TryKey
from mixprec_doctor.source.module import caught, dotted
from mixprec_doctor.source.walking import walk

_FAULTS = {"ImportError", "ModuleNotFoundError"}
_WIDE = {"Exception", "BaseException", "AttributeError", "TypeError", "NameError", "RuntimeError", "KeyError"}
_ENDS = {"exit", "_exit", "skip", "fail", "xfail"}  # sys.exit, os._exit, pytest.skip
TYPES = "TYPE_CHECKING"

Guards = tuple[Guard, ...]


@dataclass(frozen=True, eq=False)
class Bound:
    """One binding of a name: what is assigned, defined or imported, or None where that is not to be followed."""

    line: int
    thing: ast.expr | ast.stmt | tuple[str, ...] | None  # a tuple: a module, or a module and a name of it
    guards: Guards


@dataclass(eq=False)
class Scope:
    """A module, class or function, and the names bound in it."""

    kind: str
    parent: Scope | None = None
    name: str = ""
    names: dict[str, list[Bound]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)  # global and nonlocal names
    node: ast.AST | None = None

    def bind(self, name: str, bound: Bound) -> None:
        """Note a binding; a global one with the module."""
        home = self
        while name in home.elsewhere and home.parent is not None:
            home = home.parent
        home.names.setdefault(name, []).append(bound)

    def find(self, name: str) -> tuple[Scope, list[Bound]] | None:
        """The scope that a name means here, and its bindings there."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or scope.kind != "class"):
                return scope, scope.names[name]
            scope = scope.parent
        return None

    @property
    def function(self) -> str | None:
        """The dotted name of the function around, if there is one."""
        parts: list[str] = []
        scope: Scope | None = self
        inside = False
        while scope is not None and scope.kind != "module":
            inside = inside or scope.kind == "function"
            parts.append(scope.name)
            scope = scope.parent
        return ".".join(reversed(parts)) if inside else None


@dataclass(frozen=True, eq=False)
class Site:
    """A statement with the scope and the guards that it stands in."""

    statement: ast.stmt
    scope: Scope
    guards: Guards


@dataclass(frozen=True, eq=False)
class FileScopes:
    """All that the statements of one file bind."""

    module: Scope
    sites: tuple[Site, ...]
    tries: dict[TryKey, Try]
    scopes: dict[int, Scope]  # by the id of a class or function


ReadTest = Callable[[ast.expr, Scope], "Guard | None"]


def read_scopes(
    tree: ast.Module, file: str, *, test: ReadTest, absolute: Callable[[ast.ImportFrom], str | None],
    foreign: Callable[[str], bool], source: str = "global nonlocal :=",
    above: Scope | None = None,
) -> FileScopes:  # fmt: skip
    """The scopes of a file. ``test`` makes the guard of a condition that is about releases, ``absolute`` the module
    of a relative import, and ``foreign`` says of a module that no release decides whether it is there. ``above`` are
    the names of an earlier cell of the same notebook."""
    reader = _Scopes(file, test, absolute, foreign, source)
    module = Scope(kind="module", node=tree, parent=above)
    reader.scopes[id(tree)] = module
    reader.block(tree.body, module, ())
    reader.bodies()
    return FileScopes(module=module, sites=tuple(reader.sites), tries=reader.tries, scopes=reader.scopes)


class _Scopes:
    def __init__(
        self,
        file: str,
        test: ReadTest,
        absolute: Callable[[ast.ImportFrom], str | None],
        foreign: Callable[[str], bool],
        source: str,
    ) -> None:
        self._file = file
        self._test = test
        self._absolute = absolute
        self._foreign = foreign
        self._has_walruses = ":=" in source  # most files have none, and looking for them costs a third
        self._has_globals = "global" in source or "nonlocal" in source
        self.sites: list[Site] = []
        self.tries: dict[TryKey, Try] = {}
        self.scopes: dict[int, Scope] = {}
        self._waiting: list[tuple[list[ast.stmt], Scope, Guards]] = []

    def bodies(self) -> None:
        """The bodies of functions: they run when all around them is bound."""
        while self._waiting:
            self.block(*self._waiting.pop(0))

    def block(self, body: Iterable[ast.stmt], scope: Scope, guards: Guards) -> None:
        """Statements one after another; what follows an ``if`` that always leaves is guarded by its opposite."""
        for statement in body:
            self.sites.append(Site(statement, scope, guards))
            after = self._statement(statement, scope, guards)
            guards = after

    def _statement(self, statement: ast.stmt, scope: Scope, guards: Guards) -> Guards:
        self._bindings(statement, scope, guards)
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._function(statement, scope, guards)
        elif isinstance(statement, ast.ClassDef):
            inner = Scope(kind="class", parent=scope, name=statement.name, node=statement)
            self.scopes[id(statement)] = inner
            self.block(statement.body, inner, guards)
        elif isinstance(statement, ast.If):
            return self._if(statement, scope, guards)
        elif isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
            self._try(statement, scope, guards)  # type: ignore[arg-type]
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            self._with(statement, scope, guards)
        elif isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
            self.block(statement.body, scope, guards)
            self.block(statement.orelse, scope, guards)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                self.block(case.body, scope, guards)
        elif isinstance(statement, ast.Assert) and (guard := self._test(statement.test, scope)) is not None:
            return (*guards, guard)
        return guards

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, guards: Guards) -> None:
        inner = Scope(kind="function", parent=scope, name=node.name, node=node)
        self.scopes[id(node)] = inner
        for name in _arguments(node.args):
            inner.bind(name, Bound(node.lineno, None, guards))
        for each in walk(node) if self._has_globals else ():
            if isinstance(each, (ast.Global, ast.Nonlocal)):
                inner.elsewhere |= set(each.names)
        self._waiting.append((node.body, inner, guards))

    def _if(self, statement: ast.If, scope: Scope, guards: Guards) -> Guards:
        guard = self._guard_of(statement.test, scope)
        if guard is None:
            self.block(statement.body, scope, guards)
            self.block(statement.orelse, scope, guards)
            return guards
        other = Guard("if", test=guard.test, holds=not guard.holds) if guard.kind == "if" else None
        self.block(statement.body, scope, (*guards, guard))
        self.block(statement.orelse, scope, (*guards, other) if other is not None else guards)
        if other is not None and not statement.orelse and _leaves(statement.body):
            return (*guards, other)
        if statement.orelse and _leaves(statement.orelse) and not _leaves(statement.body):
            return (*guards, guard)
        return guards

    def _guard_of(self, test: ast.expr, scope: Scope) -> Guard | None:
        if dotted(test).rpartition(".")[2] == TYPES:
            return Guard("types")
        return self._test(test, scope)

    def _try(self, statement: ast.Try, scope: Scope, guards: Guards) -> None:
        key = self._new_try(statement.lineno)
        handlers = tuple(
            Handler(tuple(self._caught(handler.type, scope)), _leaves(handler.body, raising=True))
            for handler in statement.handlers
        )
        catching = [name for each in handlers for name in each.catches]
        self.tries[key] = Try(statement.lineno, handlers, self._may_fail(statement.body, catching))
        self.block(statement.body, scope, (*guards, Guard("try", key)) if handlers else guards)
        for at, handler in enumerate(statement.handlers):
            inside = (*guards, Guard("try", key, at))
            if handler.name:
                scope.bind(handler.name, Bound(handler.lineno, None, inside))
            self.block(handler.body, scope, inside)
        self.block(statement.orelse, scope, (*guards, Guard("try", key, -2)) if handlers else guards)
        self.block(statement.finalbody, scope, guards)

    def _with(self, statement: ast.With | ast.AsyncWith, scope: Scope, guards: Guards) -> None:
        for item in statement.items:
            call = item.context_expr
            last = dotted(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and last in ("suppress", "raises", "assertRaises"):
                key = self._new_try(statement.lineno)
                names = tuple(name for each in call.args for name in self._caught(each, scope))
                self.tries[key] = Try(statement.lineno, (Handler(names, raises=False),), others=True)
                guards = (*guards, Guard("try", key))
        self.block(statement.body, scope, guards)

    def _new_try(self, line: int) -> TryKey:
        key = (self._file, len(self.tries))
        self.tries[key] = Try(line, (), others=False)
        return key

    def _caught(self, node: ast.expr | None, scope: Scope) -> Iterator[str]:
        """The names of exceptions, those of a tuple with a name included."""
        for name in caught(node):
            found = scope.find(name)
            things = [each.thing for each in found[1]] if found else []
            if things and isinstance(things[-1], ast.Tuple):
                yield from caught(things[-1])
            else:
                yield name

    def _may_fail(self, body: list[ast.stmt], catching: list[str]) -> bool:
        """Whether the body of a try does what may end in a handler whatever the release."""
        wide = bool(_WIDE.intersection(catching)) or not _FAULTS.intersection(catching)
        for node in (each for statement in body for each in walk(statement)):
            if isinstance(node, ast.Import) and any(self._foreign(alias.name) for alias in node.names):
                return True
            if isinstance(node, ast.ImportFrom) and self._foreign(self._absolute(node) or ""):
                return True
            if isinstance(node, (ast.Call, ast.Subscript, ast.Raise)) and wide:
                return True
        return False

    def _bindings(self, statement: ast.stmt, scope: Scope, guards: Guards) -> None:
        line = statement.lineno
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or top, Bound(line, (top,), guards))
        elif isinstance(statement, ast.ImportFrom):
            module = self._absolute(statement)
            for alias in statement.names:
                if alias.name != "*":
                    thing = (module, alias.name) if module else None
                    scope.bind(alias.asname or alias.name, Bound(line, thing, guards))
        elif isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            scope.bind(statement.name, Bound(line, statement, guards))
        elif isinstance(statement, ast.Assign) and all(isinstance(each, ast.Name) for each in statement.targets):
            for target in statement.targets:
                scope.bind(target.id, Bound(line, statement.value, guards))  # type: ignore[attr-defined]
            self._walruses(statement, scope, guards)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.value is not None:
                scope.bind(statement.target.id, Bound(line, statement.value, guards))
        else:
            self._walruses(statement, scope, guards)
            for name in _stored(statement):
                scope.bind(name, Bound(line, None, guards))

    def _walruses(self, statement: ast.stmt, scope: Scope, guards: Guards) -> None:
        for node in _heads(statement) if self._has_walruses else ():
            for each in walk(node):
                if isinstance(each, ast.NamedExpr):
                    scope.bind(each.target.id, Bound(each.lineno, each.value, guards))


def words_of(statement: ast.stmt) -> set[str]:
    """Names, attributes and plain strings in the expressions of a statement itself, decorators included."""
    found: set[str] = set()
    for head in (*_heads(statement), *getattr(statement, "decorator_list", ())):
        for node in walk(head):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def _heads(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement itself, not those of the statements in it."""
    for value in ast.iter_child_nodes(statement):
        if isinstance(value, ast.expr):
            yield value
        elif isinstance(value, ast.withitem):
            yield value.context_expr
            if value.optional_vars is not None:
                yield value.optional_vars
        elif isinstance(value, ast.keyword):
            yield value.value


def _stored(statement: ast.stmt) -> Iterator[str]:
    """Plain names that a statement binds in ways that are not followed."""
    if isinstance(statement, ast.Match):
        for case in statement.cases:
            for node in walk(case.pattern):
                name = getattr(node, "name", None) or getattr(node, "rest", None)
                if isinstance(name, str):
                    yield name
    for head in _heads(statement):
        for node in walk(head):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id


def _arguments(given: ast.arguments) -> Iterator[str]:
    for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))):
        yield each.arg


def _leaves(body: list[ast.stmt], *, raising: bool = False) -> bool:
    """Whether some statements always end in leaving; with ``raising`` only by an exception."""
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, (ast.Return, ast.Continue, ast.Break)):
            return not raising
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called = dotted(statement.value.func).rpartition(".")[2]
            if called in _ENDS:
                return True
        if isinstance(statement, ast.If) and statement.orelse:
            branches = (statement.body, statement.orelse)
            if all(_leaves(each, raising=raising) for each in branches):
                return True
    return False
