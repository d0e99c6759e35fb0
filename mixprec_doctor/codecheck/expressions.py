"""Expressions: the calls, chains and patches in the statements of a file."""

from __future__ import annotations

__all__ = ["ExpressionReader"]

import ast
from collections.abc import Iterator
from dataclasses import replace

from mixprec_doctor.codecheck.classes import ClassReader, parameters_of_function
from mixprec_doctor.codecheck.lines import Text
from mixprec_doctor.codecheck.names import Names, imported_by_call, text_of
from mixprec_doctor.codecheck.needs import (
    Alternative,
    CallNeed,
    Guard,
    ImportNeed,
    Meaning,
    Need,
    PatchNeed,
    Spot,
    Target,
    UseNeed,
)
from mixprec_doctor.codecheck.questions import Questions
from mixprec_doctor.codecheck.scopes import FileScopes, Scope, Site
from mixprec_doctor.source.module import dotted
from mixprec_doctor.usercode.calls import arguments_of

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Guards = tuple[Guard, ...]


class ExpressionReader:
    """Reads one file's expressions, each with the scope and guards of its statement."""

    def __init__(
        self, names: Names, questions: Questions, classes: ClassReader, text: Text, scopes: FileScopes
    ) -> None:
        self._names = names
        self._questions = questions
        self._classes = classes
        self._text = text
        self._scopes = scopes

    def needs(self, site: Site, *, lazy_annotations: bool) -> Iterator[Need]:
        """What the expressions of a statement need; those of the statements in it come with these."""
        statement = site.statement
        if isinstance(statement, ast.Assign):
            yield from self._assigned(statement, site)
        elif isinstance(statement, ast.Delete):
            return
        for node, is_annotation in _heads(statement):
            guards = (*site.guards, Guard("types")) if is_annotation and lazy_annotations else site.guards
            yield from self._walk(node, site.scope, guards, frozenset())

    def _walk(self, node: ast.AST, scope: Scope, guards: Guards, hidden: frozenset[str]) -> Iterator[Need]:
        if isinstance(node, ast.Call):
            yield from self._call(node, scope, guards, hidden)
            return
        if isinstance(node, ast.Attribute):
            yield from self._chain(node, scope, guards, hidden)
            return
        if isinstance(node, ast.Lambda):
            names = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                yield from self._walk(default, scope, guards, hidden)
            yield from self._walk(node.body, scope, guards, hidden | names)
            return
        if isinstance(node, _COMPREHENSIONS):
            hidden |= {
                each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }
        elif isinstance(node, ast.IfExp) and (guard := self._questions.guard(node.test, scope)) is not None:
            yield from self._walk(node.test, scope, guards, hidden)
            yield from self._walk(node.body, scope, (*guards, guard), hidden)
            other = Guard("if", test=guard.test, holds=not guard.holds)
            yield from self._walk(node.orelse, scope, (*guards, other), hidden)
            return
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self._walk(value, scope, guards, hidden)
                if (guard := self._questions.guard(value, scope)) is not None:
                    holds = isinstance(node.op, ast.And)
                    guards = (*guards, Guard("if", test=guard.test, holds=holds))
            return
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.stmt):
                yield from self._walk(child, scope, guards, hidden)

    def _call(self, node: ast.Call, scope: Scope, guards: Guards, hidden: frozenset[str]) -> Iterator[Need]:
        for part in (*node.args, *(word.value for word in node.keywords)):
            yield from self._walk(part, scope, guards, hidden)
        last = dotted(node.func).rpartition(".")[2]
        if (module := imported_by_call(node)) is not None and self._names.is_wanted(module):
            yield ImportNeed(
                spot=self._text.spot(node.args[0]), guards=guards, within=scope.function, target=Target(module),
                how="call",
            )  # fmt: skip
        elif last in ("patch", "object", "setattr") and (patch := self._patched(node, last, scope, guards)):
            yield patch
        elif last == "getattr" and len(node.args) == 2 and (name := text_of(node.args[1])) is not None:
            meaning = self._meaning(node.args[0], scope, hidden)
            if meaning:
                taken = tuple(_then(each, name) for each in meaning)
                yield UseNeed(
                    spot=self._text.spot(node.args[1]), guards=guards, within=scope.function, of=taken,
                    words=f"{ast.unparse(node.args[0])}.{name}",
                )  # fmt: skip
        elif last == "partial" and node.args and (meaning := self._meaning(node.args[0], scope, hidden)):
            yield CallNeed(
                spot=self._text.spot(node.args[0]), guards=guards, within=scope.function, of=meaning,
                words=ast.unparse(node.args[0]), arguments=arguments_of(node, skip=1),
                keyword_spots=self._keywords(node), partial=True,
            )  # fmt: skip
        yield from self._called(node, scope, guards, hidden)

    def _called(self, node: ast.Call, scope: Scope, guards: Guards, hidden: frozenset[str]) -> Iterator[Need]:
        callee = node.func
        if isinstance(callee, ast.Attribute) and _is_super(callee.value):
            number = self._classes.around(scope)
            if number is not None:
                yield CallNeed(
                    spot=self._text.spot(callee), guards=guards, within=scope.function, of=(),
                    words=f"super().{callee.attr}", arguments=arguments_of(node), keyword_spots=self._keywords(node),
                    super_of=number, member=callee.attr,
                )  # fmt: skip
            return
        self._classes.made(callee, scope, node.lineno)
        if isinstance(callee, ast.Attribute):
            self._classes.called(callee.attr, arguments_of(node))
        meaning = self._meaning(callee, scope, hidden) if isinstance(callee, (ast.Name, ast.Attribute)) else ()
        if not meaning:
            yield from self._walk(callee, scope, guards, hidden)
            return
        yield from self._chain(callee, scope, guards, hidden)
        yield CallNeed(
            spot=self._text.spot(callee), guards=guards, within=scope.function, of=meaning,
            words=ast.unparse(callee), arguments=arguments_of(node), keyword_spots=self._keywords(node),
        )  # fmt: skip

    def _chain(self, node: ast.expr, scope: Scope, guards: Guards, hidden: frozenset[str]) -> Iterator[Need]:
        """``module.Class.method``, as far as it goes."""
        if not isinstance(node, ast.Attribute):
            if not isinstance(node, ast.Name):
                yield from self._walk(node, scope, guards, hidden)
            return
        meaning = self._meaning(node, scope, hidden)
        if not meaning:
            yield from self._walk(node.value, scope, guards, hidden)
        elif isinstance(node.ctx, ast.Load) and dotted(node):
            yield UseNeed(
                spot=self._text.spot(node), guards=guards, within=scope.function, of=meaning, words=dotted(node)
            )

    def _meaning(self, node: ast.expr, scope: Scope, hidden: frozenset[str]) -> Meaning:
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Name) and root.id in hidden:
            return ()
        return self._names.meaning(node, scope, node.lineno)

    def _keywords(self, node: ast.Call) -> tuple[Spot, ...]:
        return tuple(self._text.spot(word) for word in node.keywords if word.arg is not None)

    def _assigned(self, statement: ast.Assign, site: Site) -> Iterator[Need]:
        """``vllm.config.X = something``: a patch."""
        for target in statement.targets:
            if isinstance(target, ast.Attribute) and (meaning := self._meaning(target, site.scope, frozenset())):
                yield self._patch(target, meaning, statement.value, site.scope, site.guards, strict=False)

    def _patched(self, node: ast.Call, last: str, scope: Scope, guards: Guards) -> PatchNeed | None:
        """``setattr(module, "name", f)``, also of a monkeypatch, ``mock.patch("vllm.x.Y")``, ``patch.object``."""
        args = list(node.args)
        if not args:
            return None
        words = {word.arg: word.value for word in node.keywords if word.arg}
        loose = any(
            isinstance(words.get(each), ast.Constant) and words[each].value is value  # type: ignore[attr-defined]
            for each, value in (("create", True), ("raising", False))
        )
        strict = not loose and not (last == "setattr" and isinstance(node.func, ast.Name))
        text = text_of(args[0])
        if text is not None and "." in text and self._names.is_wanted(text) and last in ("patch", "setattr"):
            module, *path = text.split(".")
            meaning: Meaning = (Alternative(Target(module, tuple(path))),)
            new = args[1] if len(args) > 1 else words.get("new")
            return self._patch(args[0], meaning, new, scope, guards, strict=strict, words=text)
        name = text_of(args[1]) if len(args) > 1 else None
        if last == "patch" or name is None:
            return None
        meaning = tuple(_then(each, name) for each in self._meaning(args[0], scope, frozenset()))
        if not meaning:
            return None
        new = args[2] if len(args) > 2 else words.get("new")
        return self._patch(
            args[1], meaning, new, scope, guards, strict=strict, words=f"{ast.unparse(args[0])}.{name}"
        )  # fmt: skip

    def _patch(
        self, node: ast.expr, meaning: Meaning, new: ast.expr | None, scope: Scope, guards: Guards, *, strict: bool,
        words: str | None = None,
    ) -> PatchNeed:  # fmt: skip
        parameters, name = None, None
        things = list(self._names.things(new, scope, node.lineno)) if new is not None else []
        if len(things) == 1 and things[0].own is not None and not isinstance(things[0].own, ast.ClassDef):
            function = things[0].own
            if not getattr(function, "decorator_list", None):
                parameters, name = parameters_of_function(function), getattr(function, "name", "the lambda")
        return PatchNeed(
            spot=self._text.spot(node), guards=guards, within=scope.function, of=meaning,
            words=words or ast.unparse(node), strict=strict, parameters=parameters, function=name,
        )  # fmt: skip


def _then(alternative: Alternative, name: str) -> Alternative:
    target = alternative.target
    return replace(alternative, target=target.then(name) if target is not None else None)


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args


def _heads(statement: ast.stmt) -> Iterator[tuple[ast.expr, bool]]:
    """The expressions of a statement itself, and whether each is an annotation."""
    if isinstance(statement, _FUNCTIONS):
        yield from _of_function(statement)
    elif isinstance(statement, ast.AnnAssign):
        yield statement.annotation, True
        if statement.value is not None:
            yield statement.value, False
    else:
        yield from ((each, False) for each in _parts(statement))


def _of_function(statement: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[ast.expr, bool]]:
    given = statement.args
    for each in (*statement.decorator_list, *given.defaults, *filter(None, given.kw_defaults)):
        yield each, False
    for argument in ast.walk(given):
        if isinstance(argument, ast.arg) and argument.annotation is not None:
            yield argument.annotation, True
    if statement.returns is not None:
        yield statement.returns, True


def _parts(statement: ast.stmt) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr
        elif isinstance(child, ast.keyword):
            yield child.value
        elif isinstance(child, ast.ExceptHandler) and child.type is not None:
            yield child.type
        elif isinstance(child, ast.match_case) and child.guard is not None:
            yield child.guard
