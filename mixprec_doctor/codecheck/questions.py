"""Questions: conditions of the code that are about releases, read as data."""

from __future__ import annotations

__all__ = ["Questions"]

import ast
import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from mixprec_doctor.codecheck.conditions import (
    AnyOf,
    AttributeTest,
    Constant,
    EveryOf,
    Flag,
    ModuleTest,
    Not,
    ParameterTest,
    PythonTest,
    Test,
    Undecided,
    VersionTest,
)
from mixprec_doctor.codecheck.names import Names, text_of
from mixprec_doctor.codecheck.needs import Guard, Target
from mixprec_doctor.codecheck.scopes import Scope
from mixprec_doctor.source.module import dotted

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_MAKERS = {"Version", "parse", "parse_version", "LooseVersion", "StrictVersion", "tuple"}
_DEEPEST = 8
_VERSION = re.compile(r"\s*[<>=!~]*\s*v?\d+(\.\d+)+")

_VersionOf = tuple[str, str, "int | None", bool]  # a package, how it is held, how many parts, without what follows


class Questions:
    """Reads conditions of the code; what is about something else gives none."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._given: dict[str, tuple[ast.expr, Scope]] = {}  # arguments of the function that is looked into
        self.unknown = False  # whether something was asked of a file that was not read yet

    def guard(self, test: ast.expr, scope: Scope) -> Guard | None:
        """The guard that a condition is; None for one that says nothing about releases."""
        found = self.read(test, scope, 0)
        return Guard("if", test=found) if found is not None else None

    def read(self, test: ast.expr, scope: Scope, depth: int) -> Test | None:
        """The condition as data."""
        if depth > _DEEPEST:
            return None
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.read(test.operand, scope, depth + 1)
            return Not(inner) if inner is not None else None
        if isinstance(test, ast.BoolOp):
            return self._joined(test, scope, depth)
        if isinstance(test, ast.Compare):
            return self._compared(test, scope, depth)
        if isinstance(test, ast.Call):
            return self._asked(test, scope, depth)
        if isinstance(test, ast.Constant):
            return Constant(bool(test.value)) if isinstance(test.value, (bool, int)) else None
        if isinstance(test, (ast.Name, ast.Attribute)):
            return self._flag(test, scope, depth)
        return None

    def _joined(self, test: ast.BoolOp, scope: Scope, depth: int) -> Test | None:
        parts = [self.read(each, scope, depth + 1) for each in test.values]
        if not any(part is not None for part in parts):
            return None
        known = tuple(part or Undecided("") for part in parts)
        return EveryOf(known) if isinstance(test.op, ast.And) else AnyOf(known)

    def _compared(self, test: ast.Compare, scope: Scope, depth: int) -> Test | None:
        sides = [test.left, *test.comparators]
        parts = [
            self._pair(sides[at], each, sides[at + 1], scope, depth) for at, each in enumerate(test.ops)
        ]  # fmt: skip
        if all(part is None for part in parts):
            return Undecided(ast.unparse(test)) if self._is_about_versions(test, scope, depth) else None
        known = tuple(part or Undecided("") for part in parts)
        return known[0] if len(known) == 1 else EveryOf(known)

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope, depth: int) -> Test | None:
        if isinstance(op, (ast.Is, ast.IsNot)):
            return self._against_none(left, op, right, scope, depth)
        if isinstance(op, (ast.In, ast.NotIn)):
            return self._among(left, op, right, scope, depth)
        word = _OPERATORS.get(type(op))
        if word is None:
            return None
        if (found := self._version_of(right, scope, depth)) is not None:
            left, right, word = right, left, _TURNED[word]
        else:
            found = self._version_of(left, scope, depth)
        if found is not None:
            return _version_test(found, word, self._literal(right, scope, depth))
        if _is_python(left) and isinstance(value := self._literal(right, scope, depth), tuple):
            return PythonTest(word, value)
        return None

    def _against_none(self, left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope, depth: int) -> Test | None:
        """``find_spec("x") is not None``, and ``X is None`` where X is None if an import failed."""
        if not (isinstance(right, ast.Constant) and right.value is None):
            return None
        there: Test | None = None
        if isinstance(left, ast.Call) and dotted(left.func).rpartition(".")[2] == "find_spec":
            there = self._asked(left, scope, depth)
        elif isinstance(left, ast.Call) and (attribute := self._taken(left, scope)) is not None:
            there = EveryOf((attribute, Undecided(ast.unparse(left))))
        elif isinstance(left, (ast.Name, ast.Attribute)):
            there = self._flag(left, scope, depth, of_none=True)
        if there is None:
            return None
        return there if isinstance(op, ast.IsNot) else Not(there)

    def _among(self, left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope, depth: int) -> Test | None:
        if (name := text_of(left)) is not None and (asked := self._signature_of(right, scope, depth)) is not None:
            there: Test = ParameterTest(asked.module, asked.path, name)
            return there if isinstance(op, ast.In) else Not(there)
        found = self._version_of(left, scope, depth)
        if found is None or not isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            return None
        parts = [_version_test(found, "==", self._literal(each, scope, depth)) for each in right.elts]
        test = AnyOf(tuple(part or Undecided("") for part in parts))
        return test if isinstance(op, ast.In) else Not(test)

    def _signature_of(self, node: ast.expr, scope: Scope, depth: int) -> Target | None:
        """What ``inspect.signature(f).parameters`` asks about, names in between followed."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Name) and (found := scope.find(node.id)) is not None and len(found[1]) == 1:
            value = found[1][0].thing
            return self._signature_of(value, found[0], depth + 1) if isinstance(value, ast.expr) else None
        if isinstance(node, ast.Attribute) and node.attr == "parameters":
            return self._signature_of(node.value, scope, depth + 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys":
            return self._signature_of(node.func.value, scope, depth + 1)
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in ("signature", "set", "list"):
            if not node.args:
                return None
            if dotted(node.func).rpartition(".")[2] != "signature":
                return self._signature_of(node.args[0], scope, depth + 1)
            targets = self._targets(node.args[0], scope, node.lineno)
            return targets[0] if len(targets) == 1 else None
        return None

    def _asked(self, call: ast.Call, scope: Scope, depth: int) -> Test | None:
        last = dotted(call.func).rpartition(".")[2]
        if last == "find_spec" and call.args and (module := text_of(call.args[0])) is not None:
            return ModuleTest(module) if self._names.is_wanted(module) else None
        if last == "hasattr" and len(call.args) == 2 and (name := text_of(call.args[1])) is not None:
            targets = self._targets(call.args[0], scope, call.lineno)
            if len(targets) == 1 and targets[0] is not None:
                return AttributeTest(targets[0].module, (*targets[0].path, name))
            return Undecided(ast.unparse(call)) if targets else None
        if last == "startswith" and isinstance(call.func, ast.Attribute) and call.args:
            found = self._version_of(call.func.value, scope, depth)
            if found is not None and (start := text_of(call.args[0])) is not None:
                return VersionTest(found[0], "start", "==", start)
        if (attribute := self._taken(call, scope)) is not None:
            return EveryOf((attribute, Undecided(ast.unparse(call))))
        if last == "bool" and len(call.args) == 1:
            return self.read(call.args[0], scope, depth + 1)
        if (answered := self._answered(call, scope, depth)) is not None:
            return answered
        return Undecided(ast.unparse(call)) if self._is_about_versions(call, scope, depth) else None

    def _answered(self, call: ast.Call, scope: Scope, depth: int) -> Test | None:
        """What a function of the code answers that has one ``return``: ``vllm_version_is("0.9.1")``."""
        if not isinstance(call.func, (ast.Name, ast.Attribute)) or depth > _DEEPEST:
            return None
        things = list(self._names.things(call.func, scope, call.lineno))
        self.unknown = self.unknown or self._is_elsewhere(call.func, scope)
        own = things[0].own if len(things) == 1 else None
        inside = self._names.scopes.get(id(own)) if isinstance(own, ast.FunctionDef) else None
        if inside is None or not isinstance(own, ast.FunctionDef):
            self.unknown = self.unknown or own is not None  # its body is read after what stands around it
            return None
        returns = [each.value for each in ast.walk(own) if isinstance(each, ast.Return) and each.value is not None]
        if len(returns) != 1:
            return None
        before, names = self._given, [each.arg for each in own.args.args]
        given = {name: (value, scope) for name, value in zip(names, call.args, strict=False)}
        self._given = given | {word.arg: (word.value, scope) for word in call.keywords if word.arg}
        try:
            return self.read(returns[0], inside, depth + 1)
        finally:
            self._given = before

    def _is_elsewhere(self, node: ast.expr, scope: Scope) -> bool:
        """Whether a name comes from a module that is no package that is looked at, and not read yet."""
        root = dotted(node).partition(".")[0]
        found = scope.find(root)
        things = [each.thing for each in found[1]] if found else []
        return any(
            isinstance(thing, tuple) and not self._names.is_wanted(thing[0]) and thing[0] not in self._names.files
            for thing in things
        )

    def _taken(self, call: ast.Call, scope: Scope) -> AttributeTest | None:
        """``getattr(module, "name", None)``."""
        if dotted(call.func).rpartition(".")[2] != "getattr" or len(call.args) != 3 or _truth(call.args[2]):
            return None
        name, targets = text_of(call.args[1]), self._targets(call.args[0], scope, call.lineno)
        if name is None or len(targets) != 1 or targets[0] is None:
            return None
        return AttributeTest(targets[0].module, (*targets[0].path, name))

    def _targets(self, node: ast.expr, scope: Scope, line: int) -> list[Target | None]:
        return list(dict.fromkeys(each.target for each in self._names.meaning(node, scope, line)))

    def _is_about_versions(self, node: ast.Compare | ast.Call, scope: Scope, depth: int) -> bool:
        """Whether a condition that cannot be read seems to be about a release."""
        if isinstance(node, ast.Call):
            last = dotted(node.func).rpartition(".")[2].lower()
            named = "version" in last or any(each in last for each in self._names.packages)
            words = [text_of(each) or "" for each in (*node.args, *(word.value for word in node.keywords))]
            return ("version" in last or (named and any(map(_VERSION.match, words)))) and not _is_python(node)
        sides = (node.left, *node.comparators)
        return any(_is_made_version(each) or self._version_of(each, scope, depth) is not None for each in sides)

    def _flag(self, node: ast.expr, scope: Scope, depth: int, *, of_none: bool = False) -> Test | None:
        """A name that is bound to constants, or once to a condition; with ``of_none`` whether it is not None."""
        if not isinstance(node, ast.Name):
            return None
        found = scope.find(node.id)
        if found is None:
            return None
        home, bounds = found
        self.unknown = self.unknown or self._is_elsewhere(node, scope)
        things = [each.thing for each in bounds]
        if len(things) == 1 and isinstance(things[0], ast.expr) and not isinstance(things[0], ast.Constant):
            return None if of_none else self.read(things[0], home, depth + 1)
        if len(things) == 1 and isinstance(things[0], tuple) and not self._names.is_wanted(things[0][0]):
            return self._flag_elsewhere(things[0], depth, of_none=of_none)
        options: list[tuple[tuple[Guard, ...], bool | Test | None]] = []
        for each in bounds:
            if isinstance(each.thing, ast.Constant):
                value = each.thing.value
                options.append((each.guards, value is not None if of_none else bool(value)))
            elif of_none and isinstance(each.thing, (tuple, ast.stmt)):
                options.append((each.guards, True))
            elif isinstance(each.thing, tuple) and self._names.is_wanted(each.thing[0]):
                options.append((each.guards, True))  # a class or module is true
            elif isinstance(each.thing, (ast.Compare, ast.BoolOp, ast.Call, ast.UnaryOp)) and not of_none:
                options.append((each.guards, self.read(each.thing, home, depth + 1)))
            else:
                options.append((each.guards, None))
        guarded = any(guards for guards, _ in options)
        known = all(value is not None for _, value in options)
        return Flag(tuple(options)) if guarded and known and len(options) > 1 else None

    def _flag_elsewhere(self, thing: tuple[str, ...], depth: int, *, of_none: bool) -> Test | None:
        scope = self._names.files.get(thing[0])
        if scope is None or len(thing) < 2:
            return None
        inner = ast.copy_location(ast.Name(id=thing[1], ctx=ast.Load()), ast.Pass(lineno=0, col_offset=0))
        if of_none:
            return self._flag(inner, scope, depth + 1, of_none=True) if depth < _DEEPEST else None
        return self.read(inner, scope, depth + 1)

    def _version_of(self, node: ast.expr, scope: Scope, depth: int) -> _VersionOf | None:
        """The package whose version an expression holds, and how."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Subscript):
            found = self._version_of(node.value, scope, depth + 1)
            upper = getattr(node.slice, "upper", None)
            length = upper.value if isinstance(upper, ast.Constant) and isinstance(upper.value, int) else None
            return (found[0], "tuple", length, found[3]) if found and length is not None else None
        if isinstance(node, ast.Call):
            return self._version_made(node, scope, depth)
        if isinstance(node, ast.Attribute) and node.attr in ("base_version", "public"):
            inner = self._version_of(node.value, scope, depth + 1)
            return (inner[0], "text", None, True) if inner else None
        if isinstance(node, ast.Attribute) and node.attr == "release":
            inner = self._version_of(node.value, scope, depth + 1)
            return (inner[0], "tuple", None, True) if inner else None
        for each in (
            self._names.meaning(node, scope, node.lineno) if isinstance(node, (ast.Name, ast.Attribute)) else ()
        ):
            last = each.target.path[-1] if each.target is not None and each.target.path else ""
            if each.target is not None and last in ("__version__", "__version_tuple__", "version"):
                return each.target.package, "tuple" if "tuple" in last else "text", None, False
        found = self._version_named(node, scope, depth) if isinstance(node, ast.Name) else None
        return found or self._version_by_word(node)

    def _version_by_word(self, node: ast.expr) -> _VersionOf | None:
        """``vllm_version``, whatever gave it: the word says whose version it is."""
        word = dotted(node).rpartition(".")[2].strip("_").lower()
        package = next((each for each in self._names.packages if word in (f"{each}_version", f"{each}_ver")), None)
        return (package, "version", None, False) if package else None

    def _version_named(self, node: ast.Name, scope: Scope, depth: int) -> _VersionOf | None:
        found = scope.find(node.id)
        values = [each.thing for each in found[1]] if found else []
        for value in values:
            if found and isinstance(value, ast.expr) and not isinstance(value, ast.Constant):
                version = self._version_of(value, found[0], depth + 1)
                if version is not None:
                    return version
            if isinstance(value, tuple) and len(value) == 2 and (home := self._names.files.get(value[0])) is not None:
                inner = ast.copy_location(ast.Name(id=value[1], ctx=ast.Load()), ast.Pass(lineno=0, col_offset=0))
                return self._version_of(inner, home, depth + 1)
        return None

    def _version_made(self, node: ast.Call, scope: Scope, depth: int) -> _VersionOf | None:
        last = dotted(node.func).rpartition(".")[2]
        if last in _MAKERS and len(node.args) == 1:
            found = self._version_of(node.args[0], scope, depth + 1)
            return (found[0], "version", None, found[3]) if found else None
        if last in ("version", "get_distribution") and node.args and (text := text_of(node.args[0])) is not None:
            name = canonicalize_name(text).replace("-", "_")
            package = next(
                (each for each in self._names.packages if each.lower() in (name, name.partition("_")[0])), None
            )
            return (package, "text", None, False) if package else None
        return None

    def _literal(self, node: ast.expr, scope: Scope, depth: int) -> str | tuple[int, ...] | None:
        """A version that stands in the code: text, numbers, or ``Version("0.9")``."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Call) and len(node.args) == 1 and dotted(node.func).rpartition(".")[2] in _MAKERS:
            return self._literal(node.args[0], scope, depth + 1)
        if isinstance(node, ast.Name) and node.id in self._given:
            value, home = self._given[node.id]
            return self._literal(value, home, depth + 1)
        if isinstance(node, ast.Name) and (found := scope.find(node.id)) is not None and len(found[1]) == 1:
            thing = found[1][0].thing
            return self._literal(thing, found[0], depth + 1) if isinstance(thing, ast.expr) else None
        if isinstance(node, (ast.Tuple, ast.List)):
            parts = tuple(_integers(node))
            return parts if len(parts) == len(node.elts) else None
        return text_of(node)


def _version_test(found: _VersionOf, word: str, value: str | tuple[int, ...] | None) -> VersionTest | None:
    package, how, length, base = found
    if value is None:
        return None
    if isinstance(value, tuple):
        return VersionTest(package, "tuple", word, value, length, base)
    if how == "tuple":
        return None
    return VersionTest(package, "version" if how == "version" else "text", word, value, None, base)


def _integers(node: ast.Tuple | ast.List) -> Iterator[int]:
    for each in node.elts:
        if isinstance(each, ast.Constant) and isinstance(each.value, int):
            yield each.value


def _is_python(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return "version_info" in text or "python_version" in text or "sys.version" in text


def _truth(node: ast.expr) -> bool:
    """Whether what stands there could be true: all but None, False and 0."""
    return not isinstance(node, ast.Constant) or bool(node.value)


def _is_made_version(node: ast.expr) -> bool:
    """``Version("0.9")``: what it is compared with is a version, though nobody can say of what."""
    return (
        isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _MAKERS - {"tuple"} and bool(node.args)
    )
