"""Expressions: the value of an expression of a module, as far as source and environment decide it. Nothing runs.

Constants, comparisons, flags of this module and of others, ``find_spec``, and what is known of the examined Python.
Everything else is OPEN.
"""

from __future__ import annotations

__all__ = ["OPEN", "THERE", "Expressions"]

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from mixprec_doctor.source.attributes import has_attribute
from mixprec_doctor.source.functions import Evaluation, gives_its_result, local_names
from mixprec_doctor.source.module import Binding, Guard, ParsedModule, dotted
from mixprec_doctor.source.operands import OPEN, THERE, Change, Table, change_of, compared, truth_of
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth, every, some

_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}

Judge = Callable[[Guard, ParsedModule], Truth]


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
        before, self._given = self._given, self._given if given is None else given
        try:
            return self._truth(node, parsed)
        finally:
            self._given = before

    def _truth(self, node: ast.expr, parsed: ParsedModule) -> Truth:
        """What is joined or turned may be true or false although its value is not known."""
        if isinstance(node, ast.BoolOp):
            join = every if isinstance(node.op, ast.And) else some
            return join([self._truth(value, parsed) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self._truth(node.operand, parsed)
        return truth_of(self.value(node, parsed))

    def value(self, node: ast.expr, parsed: ParsedModule) -> object:
        """What an expression gives; OPEN when that is not decided."""
        method = _METHODS.get(type(node))
        return OPEN if method is None else method(self, node, parsed)

    def _constant(self, node: ast.Constant, parsed: ParsedModule) -> object:
        return node.value

    def _several(self, node: ast.Tuple | ast.List | ast.Set, parsed: ParsedModule) -> object:
        values = tuple(self.value(each, parsed) for each in node.elts)
        if any(each is OPEN or each is THERE or isinstance(each, Table) for each in values):
            return OPEN
        return values if isinstance(node, ast.Tuple) else Table(values)

    def _not(self, node: ast.UnaryOp, parsed: ParsedModule) -> object:
        return _known(self._truth(node, parsed)) if isinstance(node.op, ast.Not) else OPEN

    def _joined(self, node: ast.BoolOp, parsed: ParsedModule) -> object:
        """The operand that decides, as Python gives it back."""
        decides = Truth.NO if isinstance(node.op, ast.And) else Truth.YES
        for operand in node.values[:-1]:
            value = self.value(operand, parsed)
            holds = truth_of(value)
            if holds is decides:
                return value
            if holds is Truth.UNKNOWN:
                return THERE if self._truth(node, parsed) is Truth.YES else OPEN
        return self.value(node.values[-1], parsed)

    def _chosen(self, node: ast.IfExp, parsed: ParsedModule) -> object:
        taken = self._truth(node.test, parsed)
        if taken is Truth.UNKNOWN:
            return OPEN
        return self.value(node.body if taken is Truth.YES else node.orelse, parsed)

    def _compare(self, node: ast.Compare, parsed: ParsedModule) -> object:
        values = [self.value(each, parsed) for each in (node.left, *node.comparators)]
        steps = zip(node.ops, values, values[1:], strict=False)
        return _known(every(compared(op, one, other) for op, one, other in steps))

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
        if text.partition(".")[0] in self._given:
            return OPEN
        if text in self._platform:
            return self._platform[text]
        if self._sources.facts is not None and text.endswith(f".version.{node.attr}"):
            version = self._sources.module(text.rpartition(".")[0])  # what a package says of its own build
            return self._follow(node.attr, version) if version is not None else OPEN
        if isinstance(node.value, ast.Name) and (module := self._module(node.value.id, parsed)) is not None:
            return self._follow(node.attr, module)
        return OPEN

    def _module(self, name: str, parsed: ParsedModule) -> ParsedModule | None:
        """The module of the same package that a name is bound to."""
        key = (parsed.name, f"{name}.")
        if key in self._following:
            return None
        self._following.add(key)
        try:
            binding = self._last(name, parsed)
        finally:
            self._following.discard(key)
        statement, alias = (binding.statement, binding.alias) if binding is not None else (None, None)
        base: str | None = None
        if isinstance(statement, ast.ImportFrom) and alias is not None:
            package = parsed.absolute(statement)
            base = f"{package}.{alias.name}" if package else None
        elif isinstance(statement, ast.Import) and alias is not None and alias.asname:
            base = alias.name
        return self._sources.module(base) if base and _top(base) == _top(parsed.name) else None

    def _call(self, node: ast.Call, parsed: ParsedModule) -> object:
        called = dotted(node.func)
        if self._sources.facts is not None and (known := self._fact(node, called, parsed)) is not OPEN:
            return known
        if called.rpartition(".")[2] == "get_args" and len(node.args) == 1:
            return self._literals(node.args[0], parsed)
        if called == "platform.system" and not node.args:
            return self._platform.get("platform.system()", OPEN)
        if len(node.args) != 1 or node.keywords:
            return OPEN
        given = self.value(node.args[0], parsed)
        if called.rpartition(".")[2] == "find_spec" and isinstance(given, str):
            there = self._sources.has_module(given)
            above = given.rpartition(".")[0]
            if above and self._sources.has_module(above) is not Truth.YES:
                return OPEN  # it raises, if there is nothing above
            return {Truth.YES: THERE, Truth.NO: None}.get(there, OPEN)
        if called in ("list", "tuple", "set", "frozenset"):
            return Table(given) if isinstance(given, tuple) else OPEN
        if called == "bool":
            return _known(truth_of(given))
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("startswith", "endswith"):
            text = self.value(node.func.value, parsed)
            if isinstance(text, str) and isinstance(given, str):
                return text.startswith(given) if node.func.attr == "startswith" else text.endswith(given)
        return OPEN

    def _literals(self, node: ast.expr, parsed: ParsedModule) -> object:
        """The values of ``Literal["a", "b"]``, written there or bound to a name once."""
        bindings = parsed.by_name.get(node.id, ()) if isinstance(node, ast.Name) else ()
        value = bindings[0].value if len(bindings) == 1 else node
        if not isinstance(value, ast.Subscript) or dotted(value.value).rpartition(".")[2] != "Literal":
            return OPEN
        elements = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
        values = [each.value for each in elements if isinstance(each, ast.Constant)]
        return tuple(values) if len(values) == len(elements) else OPEN

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
            package = dotted(node.args[0])
            return (
                _known(has_attribute(package, values[1], self._sources)) if self._is_import(package, parsed) else OPEN
            )
        if called in ("os.getenv", "os.environ.get") and values and isinstance(values[0], str):
            environ = facts.get("os.environ")
            further = [*values[1:], *(self.value(word.value, parsed) for word in node.keywords)]
            default = further[0] if further else None
            return environ.get(values[0], default) if isinstance(environ, Mapping) else OPEN
        if isinstance(node.func, ast.Name) and not node.keywords and not any(each is OPEN for each in values):
            return self._of_function(node.func.id, values, parsed)
        return OPEN

    def _is_import(self, name: str, parsed: ParsedModule) -> bool:
        """Whether a dotted name means the module so named, and no variable."""
        root = _top(name)
        bound = parsed.by_name.get(root, ())
        return root not in self._given and bool(bound) and all(
            isinstance(each.statement, ast.Import) and each.alias is not None and each.alias.asname in (None, root)
            for each in bound
        )  # fmt: skip

    def _of_function(self, name: str, values: list[object], parsed: ParsedModule) -> object:
        key = (parsed.name, f"{name}()")
        if key in self._following or name in self._given:
            return OPEN
        self._following.add(key)
        try:
            found = self._function(name, parsed)
            return OPEN if found is None else self._returned(*found, values)
        finally:
            self._following.discard(key)

    def _returned(self, function: ast.FunctionDef, home: ParsedModule, values: list[object]) -> object:
        arguments = function.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        if len(names) < len(values) or len(names) - len(values) > len(arguments.defaults):
            return OPEN
        defaults: dict[str, ast.expr | None] = dict(zip(reversed(names), reversed(arguments.defaults), strict=False))
        defaults |= {each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)}
        given: dict[str, object] = dict.fromkeys(local_names(function), OPEN)
        given |= {each: self.inside(value, {}, home) for each, value in defaults.items() if value is not None}
        given |= dict(zip(names, values, strict=False))
        return Evaluation(
            value=lambda node, names: self.inside(node, names, home),
            truth=lambda node, names: self.truth(node, home, names),
            runs=lambda guard: self._judge(guard, home),
            unknown=OPEN,
        ).returned(function, given)

    def inside(self, node: ast.expr, names: Mapping[str, object], parsed: ParsedModule) -> object:
        """What an expression in a function gives, for some values of its names."""
        before, self._given = self._given, names
        try:
            return self.value(node, parsed)
        finally:
            self._given = before

    def _function(self, name: str, parsed: ParsedModule) -> tuple[ast.FunctionDef, ParsedModule] | None:
        """A function of the same package, through what modules import from one another."""
        seen: set[str] = set()
        while parsed.name not in seen:
            seen.add(parsed.name)
            binding = self._last(name, parsed) if name in parsed.by_name else self._last("*", parsed)
            if binding is None or _is_global_elsewhere(name, parsed):
                return None
            statement = binding.statement
            if isinstance(statement, ast.FunctionDef):
                whole = parsed.whole(statement)
                return (whole, parsed) if gives_its_result(whole) else None
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
        return self._follow(node.id, parsed)

    def _keys(self, node: ast.Dict, parsed: ParsedModule) -> object:
        """A dictionary counts as its keys, which is all that ``in`` asks for."""
        keys: list[object] = []
        has_more = False
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.value(value if key is None else key, parsed)
            if key is None and not isinstance(found, Table):
                return OPEN
            if found is OPEN or found is THERE:
                return OPEN
            keys += found if key is None and isinstance(found, Table) else [found]
            has_more = has_more or (key is None and isinstance(found, Table) and (found.has_more or not found))
        table = Table(keys)
        table.has_more = has_more
        return table

    def _follow(self, name: str, parsed: ParsedModule) -> object:
        """The value of the last binding of a name that runs; a flag that depends on itself is open."""
        if name == "TYPE_CHECKING":
            return False
        if name == "__name__":
            return parsed.name
        key = (parsed.name, name)
        if key in self._following or _is_global_elsewhere(name, parsed):
            return OPEN
        before, self._given = self._given, {}  # names of a function mean nothing at the top level
        self._following.add(key)
        try:
            binding = self._last(name, parsed)
            found = self._bound(binding, parsed) if binding is not None else OPEN
        finally:
            self._following.discard(key)
            self._given = before
        if isinstance(found, Table):
            change = change_of(name, parsed)
            if change is Change.TAKES:
                return OPEN
            more = found.has_more or change is Change.ADDS
            found = Table(found)
            found.has_more = more
        return found

    def _last(self, name: str, parsed: ParsedModule) -> Binding | None:
        """The binding of a name that is the last to run; None where that is not certain."""
        stars = parsed.by_name.get("*", ()) if name != "*" else ()
        for binding in reversed(parsed.by_name.get(name, ())):
            runs = every(self._judge(guard, parsed) for guard in binding.guards)
            if runs is not Truth.NO:
                hidden = any(star.line > binding.line and self._may_bring(star, name, parsed) for star in stars)
                return binding if runs is Truth.YES and not hidden else None
        return None

    def _may_bring(self, star: Binding, name: str, parsed: ParsedModule) -> bool:
        target = parsed.absolute(star.statement) if isinstance(star.statement, ast.ImportFrom) else None
        source = self._sources.module(target) if target and _top(target) == _top(parsed.name) else None
        return source is None or name in source.by_name or "*" in source.by_name

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


def _is_global_elsewhere(name: str, parsed: ParsedModule) -> bool:
    """Whether some function of the module may bind one of its names anew."""
    declared = rb"^[ \t]+global\b[^\n#]*\b%s\b" % re.escape(name).encode()
    return b"global " in parsed.source and re.search(declared, parsed.source, re.MULTILINE) is not None


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
