"""The evaluator: what functions of an engine's source give, worked out without running any of it.

It knows three answers. Where a value is not known, a condition on it is taken both ways (``paths``), and what the ways
disagree on is not decided.
"""

from __future__ import annotations

__all__ = ["Evaluator", "Frame"]

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixprec_doctor.kernels import calls, comparing, expressions, objects, statements
from mixprec_doctor.kernels.names import Names
from mixprec_doctor.kernels.outside import Outside
from mixprec_doctor.kernels.paths import MOST_PATHS, Outcome, Paths, TooLong, every_path
from mixprec_doctor.kernels.values import Class, Function, Instance, Unknown, is_plain, text_of
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import ParsedModule, parse_expression
from mixprec_doctor.source.walking import walk

_DEEPEST = 60

# Asked before each call: what the call gives, or NotImplemented where it is to be evaluated.
Hook = Callable[[object, list[Any], dict[str, Any]], object]


@dataclass
class Frame:
    """The names of a function that is being evaluated, or of a module's top level."""

    parsed: ParsedModule
    names: dict[str, object] = field(default_factory=dict)
    around: Mapping[str, object] | None = None
    home: Class | None = None
    owner: object = None  # what ``super()`` is called on


class Evaluator:
    """Evaluates expressions and calls of some packages; ``outside`` answers for what is not among them."""

    def __init__(self, exports: Exports, *, packages: Sequence[str], outside: Outside) -> None:
        self.exports = exports
        self.outside = outside
        self.names = Names(self, exports, frozenset(packages))
        self.paths = Paths()
        self.hook: Hook | None = None
        self.overrides: dict[str, object] = {}  # values and functions by their bare names, whatever the source has
        self._depth = 0
        self._generators: dict[int, tuple[bool, ast.FunctionDef]] = {}  # a node is kept with it: no other gets its id

    def every_path(self, work: Callable[[], object], most: int = MOST_PATHS) -> tuple[tuple[Outcome, ...], bool]:
        """The outcomes of some work on each path, and whether those are all; paths around it are left as they are."""
        before, depth = self.paths, self._depth

        def once(paths: Paths) -> object:
            self.paths, self._depth = paths, depth
            return work()

        try:
            return every_path(once, most)
        finally:
            self.paths, self._depth = before, depth

    def once(self, work: Callable[[], object]) -> object:
        """What some work gives where nothing has to be assumed for it; else it is unknown."""
        outcomes, whole = self.every_path(work, most=1)
        if not outcomes:
            return Unknown("what takes too long to read")
        if outcomes[0].raised is not None:
            raise outcomes[0].raised
        return outcomes[0].value if whole else Unknown(outcomes[0].assumed[0][0])

    def text(self, source: str, module: str) -> object:
        """The value of an expression, written in a module of the engine."""
        parsed = self.exports.sources.module(module)
        if parsed is None:
            return Unknown(source)
        return self.once(lambda: self.value(parse_expression(source), Frame(parsed)))

    def value(self, node: ast.expr, frame: Frame) -> object:
        """What an expression gives."""
        self.paths.step()
        method = expressions.METHODS.get(type(node))
        return Unknown(frame.parsed.text(node)) if method is None else method(self, node, frame)

    def run(self, body: Sequence[ast.stmt], frame: Frame) -> None:
        """Do what statements do; a return, a break and the like come as exceptions."""
        for statement in body:
            self.paths.step()
            method = statements.METHODS.get(type(statement))
            if method is not None:
                method(self, statement, frame)

    def call(self, callee: object, given: list[Any], words: dict[str, Any] | None = None) -> object:
        """What a call gives."""
        words = words or {}
        if self.hook is not None and (answer := self.hook(callee, given, words)) is not NotImplemented:
            return answer
        if self._depth > _DEEPEST:
            raise TooLong
        self._depth += 1
        try:
            return calls.call(self, callee, given, words)
        finally:
            self._depth -= 1

    def attribute(self, value: object, name: str) -> object:
        """``value.name``."""
        return objects.attribute(self, value, name)

    def method(self, value: object, name: str, *given: Any, **words: Any) -> object:  # noqa: ANN401
        """``value.name(...)``."""
        return self.call(self.attribute(value, name), list(given), words)

    def truth(self, value: object) -> bool:
        """Whether a value counts as true; an unknown one as this path assumes."""
        if isinstance(value, Unknown):
            return self.paths.assume(value.text)
        if is_plain(value) or isinstance(value, (tuple, list, dict, set, frozenset)):
            return bool(value)
        if isinstance(value, Instance):
            return comparing.instance_truth(self, value)
        return True

    def equal(self, one: object, other: object) -> object:
        """``one == other``: true, false or unknown."""
        return comparing.equal(self, one, other)

    def iterate(self, value: object) -> Iterator[object]:
        """The elements of a value; of an unknown one a single unknown element."""
        if isinstance(value, Instance) and value.order is not None:
            yield from [value.attributes.get(name) for name in value.order]
        elif isinstance(value, Class) and "Enum" in " ".join(value.bases):
            yield from objects.members(self, value)
        elif isinstance(value, (tuple, list, set, frozenset, dict, str, range)):
            yield from list(value)
        else:
            yield Unknown(f"an element of {text_of(value)}")

    def is_generator(self, node: ast.FunctionDef) -> bool:
        """Whether calling a function only makes a generator."""
        if id(node) not in self._generators:
            below = (each for statement in node.body for each in walk(statement))
            self._generators[id(node)] = (any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in below), node)
        return self._generators[id(node)][0]

    def class_of(self, node: ast.ClassDef, parsed: ParsedModule) -> Class:
        """The class that a definition makes, the same one each time."""
        return self.names.class_of(node, parsed)

    def function(self, node: ast.FunctionDef, parsed: ParsedModule, home: Class | None = None) -> Function:
        """The function that a definition makes."""
        return Function(name=node.name, node=parsed.whole(node), parsed=parsed, home=home)
