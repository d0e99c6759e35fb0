"""Expressions: the value of an expression of a module, as far as source and environment decide it. Nothing runs.

Constants, comparisons, flags of this module and of others, ``find_spec``, and what is known of the examined Python.
Everything else is OPEN.
"""

from __future__ import annotations

__all__ = ["OPEN", "THERE", "Expressions"]

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from mixprec_doctor.source.functions import Evaluation
from mixprec_doctor.source.module import Binding, Guard, ParsedModule, dotted
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth, every, some

OPEN = object()  # not decided
THERE = object()  # a module, class or function: true and not None, nothing more is known
_PLAIN = (str, int, float, bool, tuple, type(None))
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other, ast.NotIn: lambda one, other: one not in other,
}  # fmt: skip
_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}

Judge = Callable[[Guard, ParsedModule], Truth]


class _Table(tuple[object, ...]):
    """What a container holds that can be added to later: good for ``in``, and equal to nothing."""

    has_more: bool = False  # statements of the module do add to it


class Expressions:
    """Evaluates without executing; ``judge`` says whether a guarded binding runs."""

    def __init__(self, sources: Sources, judge: Judge) -> None:
        self._sources = sources
        self._judge = judge
        self._given: Mapping[str, object] = {}
        self._following: set[tuple[str, str]] = set()
        self._platform: dict[str, object] = {}
        if sources.python:
            version = (*sources.python, 0, 0)[:3]
            self._platform["sys.version_info"] = (*version, "final", 0)
            parts = zip(("major", "minor", "micro"), version, strict=True)
            self._platform |= {f"sys.version_info.{name}": part for name, part in parts}
        if sources.platform:
            self._platform["sys.platform"] = sources.platform
            self._platform["os.name"] = "nt" if sources.platform == "win32" else "posix"
            self._platform["platform.system()"] = _SYSTEMS.get(sources.platform, OPEN)

    def truth(self, node: ast.expr, parsed: ParsedModule, given: Mapping[str, object] | None = None) -> Truth:
        """Whether an expression is true; ``given`` are values of a function's parameters, where it stands in one."""
        before, self._given = self._given, given or self._given
        try:
            return _truth(self.value(node, parsed))
        finally:
            self._given = before

    def value(self, node: ast.expr, parsed: ParsedModule) -> object:
        """What an expression gives; OPEN when that is not decided."""
        method = _METHODS.get(type(node))
        return OPEN if method is None else method(self, node, parsed)

    def _constant(self, node: ast.Constant, parsed: ParsedModule) -> object:
        return node.value

    def _several(self, node: ast.Tuple | ast.List | ast.Set, parsed: ParsedModule) -> object:
        values = tuple(self.value(each, parsed) for each in node.elts)
        if any(each is OPEN or each is THERE for each in values):
            return OPEN
        return values if isinstance(node, ast.Tuple) else _Table(values)

    def _not(self, node: ast.UnaryOp, parsed: ParsedModule) -> object:
        return _known(~self.truth(node.operand, parsed)) if isinstance(node.op, ast.Not) else OPEN

    def _joined(self, node: ast.BoolOp, parsed: ParsedModule) -> object:
        join = every if isinstance(node.op, ast.And) else some
        return _known(join([self.truth(value, parsed) for value in node.values]))

    def _chosen(self, node: ast.IfExp, parsed: ParsedModule) -> object:
        taken = self.truth(node.test, parsed)
        if taken is Truth.UNKNOWN:
            return OPEN
        return self.value(node.body if taken is Truth.YES else node.orelse, parsed)

    def _compare(self, node: ast.Compare, parsed: ParsedModule) -> object:
        values = [self.value(each, parsed) for each in (node.left, *node.comparators)]
        steps = zip(node.ops, values, values[1:], strict=False)
        return _known(every(_compared(op, one, other) for op, one, other in steps))

    def _part(self, node: ast.Subscript, parsed: ParsedModule) -> object:
        whole = self._platform.get(dotted(node.value), OPEN)
        if not isinstance(whole, tuple):
            return OPEN
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            return whole[node.slice.value] if -len(whole) <= node.slice.value < len(whole) else OPEN
        if isinstance(node.slice, ast.Slice) and node.slice.step is None:
            start, end = (self.value(each, parsed) if each else None for each in (node.slice.lower, node.slice.upper))
            if (start is None or isinstance(start, int)) and (end is None or isinstance(end, int)):
                return whole[start:end]
        return OPEN

    def _attribute(self, node: ast.Attribute, parsed: ParsedModule) -> object:
        if node.attr == "TYPE_CHECKING":
            return False
        text = dotted(node)
        if text in self._platform:
            return self._platform[text]
        if self._sources.facts is not None and text.endswith(f".version.{node.attr}"):
            version = self._sources.module(text.rpartition(".")[0])  # what a package says of its own build
            return self._follow(node.attr, version) if version is not None else OPEN
        if isinstance(node.value, ast.Name) and (module := self._module(node.value.id, parsed)) is not None:
            return self._follow(node.attr, module)
        return OPEN

    def _module(self, name: str, parsed: ParsedModule) -> ParsedModule | None:
        """The module of the same package that a name is plainly bound to."""
        for binding in parsed.by_name.get(name, ())[-1:]:
            statement, alias = binding.statement, binding.alias
            base: str | None = None
            if isinstance(statement, ast.ImportFrom) and alias is not None:
                package = parsed.absolute(statement)
                base = f"{package}.{alias.name}" if package else None
            elif isinstance(statement, ast.Import) and alias is not None and alias.asname:
                base = alias.name
            if base and _top(base) == _top(parsed.name):
                return self._sources.module(base)
        return None

    def _call(self, node: ast.Call, parsed: ParsedModule) -> object:
        called = dotted(node.func)
        if self._sources.facts is not None and (known := self._fact(node, called, parsed)) is not OPEN:
            return known
        if called == "platform.system" and not node.args:
            return self._platform.get("platform.system()", OPEN)
        if len(node.args) != 1 or node.keywords:
            return OPEN
        given = self.value(node.args[0], parsed)
        if called.rpartition(".")[2] == "find_spec" and isinstance(given, str):
            there = self._sources.has_module(given)
            return {Truth.YES: THERE, Truth.NO: None}.get(there, OPEN)
        if called == "bool":
            return _known(_truth(given))
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("startswith", "endswith"):
            text = self.value(node.func.value, parsed)
            if isinstance(text, str) and isinstance(given, str):
                return text.startswith(given) if node.func.attr == "startswith" else text.endswith(given)
        return OPEN

    def _fact(self, node: ast.Call, called: str, parsed: ParsedModule) -> object:
        """A call that the facts of the machine decide, directly or through a small function of the same package."""
        facts = self._sources.facts or {}
        if not node.args and not node.keywords:
            if f"{called}()" in facts:
                return facts[f"{called}()"]
            if isinstance(node.func, ast.Attribute) and node.func.attr == "lower":
                text = self.value(node.func.value, parsed)
                return text.lower() if isinstance(text, str) else OPEN
        values = [self.value(each, parsed) for each in node.args]
        if called == "hasattr" and len(node.args) == 2 and isinstance(values[1], str):
            return _known(self._has(dotted(node.args[0]), values[1]))
        if called in ("os.getenv", "os.environ.get") and values and isinstance(values[0], str):
            environ = facts.get("os.environ")
            default = values[1] if len(values) > 1 else None
            return environ.get(values[0], default) if isinstance(environ, Mapping) else OPEN
        if isinstance(node.func, ast.Name) and not node.keywords and OPEN not in values:
            return self._of_function(node.func.id, values, parsed)
        return OPEN

    def _has(self, package: str, name: str) -> Truth:
        """Whether a package has an attribute: not when its text never names it and nothing adds to it from outside."""
        text = self._sources.text(package)
        if text is None:
            return Truth.UNKNOWN
        if self._sources.has_module(f"{package}.{name}") is Truth.YES:
            return Truth.YES
        added = self._sources.has_module(f"{package.partition('.')[0]}_{name}")
        mentioned = re.search(rb"\b%s\b" % re.escape(name).encode(), text) is not None
        return Truth.NO if added is Truth.NO and not mentioned else Truth.UNKNOWN

    def _of_function(self, name: str, values: list[object], parsed: ParsedModule) -> object:
        found = self._function(name, parsed)
        key = (parsed.name, f"{name}()")
        if found is None or key in self._following:
            return OPEN
        function, home = found
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        if len(names) < len(values) or len(names) - len(values) > len(function.args.defaults):
            return OPEN
        defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
        given = {each: self.value(default, home) for each, default in defaults.items()}
        given |= dict(zip(names, values, strict=False))
        self._following.add(key)
        try:
            return Evaluation(
                value=lambda node, names: self.inside(node, names, home),
                truth=lambda node, names: _truth(self.inside(node, names, home)),
                imports=lambda statement: self._importable(statement, home),
                unknown=OPEN,
            ).returned(function, given)
        finally:
            self._following.discard(key)

    def inside(self, node: ast.expr, names: Mapping[str, object], parsed: ParsedModule) -> object:
        """What an expression in a function gives, for some values of its names."""
        before, self._given = self._given, names
        try:
            return self.value(node, parsed)
        finally:
            self._given = before

    def _importable(self, statement: ast.Import | ast.ImportFrom, parsed: ParsedModule) -> Truth:
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else [
            parsed.absolute(statement) or ""
        ]  # fmt: skip
        return every(self._sources.has_module(name) for name in names)

    def _function(self, name: str, parsed: ParsedModule) -> tuple[ast.FunctionDef, ParsedModule] | None:
        """A function of the same package, through what modules import from one another."""
        seen: set[str] = set()
        while parsed.name not in seen:
            seen.add(parsed.name)
            bindings = parsed.by_name.get(name) or parsed.by_name.get("*")
            if not bindings:
                return None
            binding = bindings[-1]
            statement = binding.statement
            if isinstance(statement, ast.FunctionDef):
                return parsed.whole(statement), parsed
            if not isinstance(statement, ast.ImportFrom) or binding.alias is None:
                return None
            target = parsed.absolute(statement)
            source = self._sources.module(target) if target and _top(target) == _top(parsed.name) else None
            if source is None:
                return None
            name = name if binding.alias.name == "*" else binding.alias.name
            parsed = source
        return None

    def _name(self, node: ast.Name, parsed: ParsedModule) -> object:
        if node.id in self._given:
            return self._given[node.id]
        before, self._given = self._given, {}
        try:
            found = self._follow(node.id, parsed)
        finally:
            self._given = before
        if isinstance(found, _Table) and _adds_to(node.id, parsed):
            found = _Table(found)
            found.has_more = True
        return found

    def _keys(self, node: ast.Dict, parsed: ParsedModule) -> object:
        """A dictionary counts as its keys, which is all that ``in`` asks for."""
        keys: list[object] = []
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.value(value if key is None else key, parsed)
            if key is None and not isinstance(found, _Table):
                return OPEN
            if found is OPEN or found is THERE:
                return OPEN
            keys += found if key is None and isinstance(found, _Table) else [found]
        table = _Table(keys)
        table.has_more = any(isinstance(value, ast.Name) and _adds_to(value.id, parsed) for value in node.values)
        return table

    def _follow(self, name: str, parsed: ParsedModule) -> object:
        """The value of the last binding of a name that runs; a flag that depends on itself is open."""
        if name == "TYPE_CHECKING":
            return False
        if name == "__name__":
            return parsed.name
        key = (parsed.name, name)
        if key in self._following:
            return OPEN
        self._following.add(key)
        try:
            for binding in reversed(parsed.by_name.get(name, ())):
                runs = every(self._judge(guard, parsed) for guard in binding.guards)
                if runs is not Truth.NO:
                    return self._bound(binding, parsed) if runs is Truth.YES else OPEN
        finally:
            self._following.discard(key)
        return OPEN

    def _bound(self, binding: Binding, parsed: ParsedModule) -> object:
        statement, alias = binding.statement, binding.alias
        if isinstance(statement, (ast.Import, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            return THERE
        if isinstance(statement, ast.ImportFrom) and alias is not None:
            return self._imported(statement, alias.name, parsed)
        if binding.value is None or not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            return OPEN
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if binding.value is statement.value and not any(isinstance(each, ast.Name) for each in targets):
            return OPEN  # a part of a value that is not written part by part
        return self.value(binding.value, parsed)

    def _imported(self, statement: ast.ImportFrom, name: str, parsed: ParsedModule) -> object:
        """A flag of another module of the same package; what other packages hold is not read for it."""
        if name == "TYPE_CHECKING":
            return False
        target = parsed.absolute(statement)
        versions = (self._sources.facts or {}).get("versions")
        if name == "__version__" and isinstance(versions, Mapping) and target in versions:
            return versions[target]
        if not target or _top(target) != _top(parsed.name):
            return OPEN
        source = self._sources.module(target)
        if source is not None and name in source.by_name:
            return self._follow(name, source)
        return THERE if self._sources.has_module(f"{target}.{name}") is Truth.YES else OPEN


def _compared(op: ast.cmpop, one: object, other: object) -> Truth:
    if one is OPEN or other is OPEN:
        return Truth.UNKNOWN
    if one is THERE or other is THERE:
        known = isinstance(op, (ast.Is, ast.IsNot)) and (one is None or other is None)
        return Truth.of(isinstance(op, ast.IsNot)) if known else Truth.UNKNOWN
    if not isinstance(one, _PLAIN) or not isinstance(other, _PLAIN):
        return Truth.UNKNOWN
    if isinstance(one, _Table) or (isinstance(other, _Table) and not isinstance(op, (ast.In, ast.NotIn))):
        return Truth.UNKNOWN
    if isinstance(other, _Table) and other.has_more and one not in other:
        return Truth.UNKNOWN
    if isinstance(op, (ast.Is, ast.IsNot)) and not (one is None or other is None or isinstance(one, bool)):
        return Truth.UNKNOWN
    try:
        return Truth.of(bool(_COMPARE[type(op)](one, other)))
    except TypeError:
        return Truth.UNKNOWN


def _truth(value: object) -> Truth:
    if value is OPEN or (isinstance(value, _Table) and not value):
        return Truth.UNKNOWN
    return Truth.YES if value is THERE else Truth.of(bool(value))


def _adds_to(name: str, parsed: ParsedModule) -> bool:
    """Whether a statement outside of functions adds to a container."""
    text = parsed.outline.source if parsed.outline else parsed.source
    added = rb"\b%s(?:\[[^\]]*\]\s*=[^=]|\.(?:update|setdefault|append|extend|add|insert)\()"
    return re.search(added % re.escape(name).encode(), text) is not None


def _known(truth: Truth) -> object:
    return {Truth.YES: True, Truth.NO: False}.get(truth, OPEN)


def _top(module: str) -> str:
    return module.partition(".")[0]


_METHODS: dict[type[ast.expr], Callable[[Expressions, Any, ParsedModule], object]] = {
    ast.Constant: Expressions._constant, ast.Tuple: Expressions._several, ast.List: Expressions._several,
    ast.Set: Expressions._several, ast.Dict: Expressions._keys, ast.UnaryOp: Expressions._not,
    ast.BoolOp: Expressions._joined,
    ast.IfExp: Expressions._chosen, ast.Compare: Expressions._compare, ast.Subscript: Expressions._part,
    ast.Attribute: Expressions._attribute, ast.Call: Expressions._call, ast.Name: Expressions._name,
}  # fmt: skip
