"""Lazy names: what a module's ``__getattr__`` answers, read from its tables and imports."""

from __future__ import annotations

__all__ = ["ANYTHING", "MADE", "LazyNames", "Target", "lazy_object"]

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from mixprec_doctor.source.module import OWN_PLACE, ParsedModule, dotted
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.source.walking import walk

Target = tuple[str, str]  # a module and a name in it; no name: the module itself
_DEEPEST = 3  # functions and assignments between ``__getattr__`` and its table


class _Made(Enum):
    MADE = "made on demand"
    ANYTHING = "whatever is asked"


MADE, ANYTHING = _Made.MADE, _Made.ANYTHING
Answer = Target | _Made | None


class LazyNames:
    """Answers for names that a module does not bind. ``module_of`` gives the module that a name is bound to."""

    def __init__(self, sources: Sources, module_of: Callable[[str, ParsedModule], str | None]) -> None:
        self._sources = sources
        self._module_of = module_of

    def answer(self, parsed: ParsedModule, name: str) -> Answer:
        """What ``__getattr__`` gives for a name; None when it refuses."""
        for binding in reversed(parsed.by_name.get("__getattr__", ())):
            if isinstance(binding.statement, ast.FunctionDef):
                return self._by_function(parsed.whole(binding.statement), parsed, name)
            if binding.value is not None:
                found = self._by_tables([binding.value], parsed, name)
                return found or (None if isinstance(binding.value, ast.Name) else self._made_by_call(parsed, name))
        return None

    def replaced(self, parsed: ParsedModule, name: str) -> Answer:
        """What stands in for the module under ``sys.modules`` gives; MADE when that cannot be read."""
        value = parsed.by_name[OWN_PLACE][-1].value
        if not isinstance(value, ast.Call) or "lazy" not in dotted(value.func).lower():
            return MADE
        tables = [each for each in self._tables([value], parsed) if isinstance(each, ast.Dict)]
        found = self._by_tables([value], parsed, name) if tables else MADE
        return found or (None if _is_written_out(value, parsed) else MADE)

    def _made_by_call(self, parsed: ParsedModule, name: str) -> Answer:
        """A ``__getattr__`` that some function makes: no table, no knowledge, if the name is in the text at all."""
        return ANYTHING if name.encode() in parsed.source else None

    def _by_function(self, getter: ast.FunctionDef, parsed: ParsedModule, name: str) -> Answer:
        if (found := self._by_tables([getter], parsed, name)) not in (None, MADE):
            return found
        asked = getter.args.args[0].arg if getter.args.args else ""
        for node in ast.walk(getter):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name and (base := parsed.absolute(node)) is not None:
                        return base, alias.name
        reader = _Returns(asked, name, parsed, self._module_of)
        for node in ast.walk(getter):
            if isinstance(node, ast.If) and self._asks_for(node.test, asked, name, parsed):
                return reader.target(node.body) or MADE
        if found is MADE or any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(getter)):
            return MADE
        if not self._refuses(getter, asked, name, parsed):
            return reader.target(getter.body) or (
                None if any(isinstance(node, (ast.Raise, ast.If)) for node in ast.walk(getter)) else ANYTHING
            )
        return None

    def _refuses(self, getter: ast.FunctionDef, asked: str, name: str, parsed: ParsedModule) -> bool:
        """Whether ``if name not in TABLE: raise`` or the like stands before the rest."""
        for statement in getter.body:
            if isinstance(statement, ast.If) and any(isinstance(each, ast.Raise) for each in statement.body):
                test = statement.test
                if isinstance(test, ast.UnaryOp):
                    return not self._asks_for(test.operand, asked, name, parsed)
                if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.NotIn, ast.NotEq)):
                    positive = ast.Compare(left=test.left, ops=[ast.In()], comparators=test.comparators)
                    return not self._asks_for(positive, asked, name, parsed)
        return False

    def _asks_for(self, test: ast.expr, asked: str, name: str, parsed: ParsedModule) -> bool:
        """``name == "A"``, ``name in ("A", "B")`` and ``name in TABLE``."""
        if isinstance(test, ast.BoolOp):
            return any(self._asks_for(each, asked, name, parsed) for each in test.values)
        if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], (ast.Eq, ast.In)):
            return False
        sides = [test.left, test.comparators[0]]
        if not any(isinstance(side, ast.Name) and side.id == asked for side in sides):
            return False
        for side in sides:
            values = [side, *(each.value for each in parsed.by_name.get(getattr(side, "id", ""), ()))]
            if any(name in _strings(value) for value in values if value is not None):
                return True
        return False

    def _by_tables(self, start: Iterable[ast.AST], parsed: ParsedModule, name: str) -> Answer:
        """The entry for a name in the tables that some code uses; MADE when a table has it but no place for it."""
        found: Answer = None
        start = list(start)
        tables = list(self._tables(start, parsed))
        if not any(isinstance(table, ast.Dict) for table in tables) and not _only_raises(start[0]):
            tables += [each.value for each in parsed.bindings if isinstance(each.value, ast.Dict)]  # a helper reads it
        for table in tables:
            if isinstance(table, ast.Dict):
                if (target := self._entry(table, name, parsed) or self._listed(table, name, parsed)) is not None:
                    return target
                found = found or (MADE if name in _strings(table) else None)
            elif name in _strings(table) and self._sources.has_module(f"{parsed.name}.{name}") is Truth.YES:
                return f"{parsed.name}.{name}", ""
        return found

    def _tables(self, start: Iterable[ast.AST], parsed: ParsedModule) -> Iterator[ast.expr]:
        """Dictionaries and lists in some code, in what it calls, and in what the names in it are assigned."""
        waiting = [(node, 0) for node in start]
        seen: set[str] = set()
        while waiting:
            current, depth = waiting.pop(0)
            for node in walk(current):
                if isinstance(node, (ast.Dict, ast.List, ast.Set, ast.Tuple)):
                    yield node
                if isinstance(node, ast.Name) and node.id not in seen and depth < _DEEPEST:
                    seen.add(node.id)
                    waiting += [(each, depth + 1) for each in self._behind(node.id, parsed)]

    def _behind(self, name: str, parsed: ParsedModule) -> Iterator[ast.AST]:
        for binding in parsed.by_name.get(name, ()):
            if binding.value is not None:
                yield binding.value
            elif isinstance(binding.statement, ast.FunctionDef):
                yield parsed.whole(binding.statement)
            elif isinstance(binding.statement, ast.ImportFrom) and binding.alias is not None:
                place = parsed.absolute(binding.statement) or ""
                home = self._sources.module(place) if _top(place) == _top(parsed.name) else None
                values = [each.value for each in home.by_name.get(binding.alias.name, ())] if home else []
                yield from (value for value in values if isinstance(value, ast.Dict))
        for statement in _below(parsed.tree.body) if parsed.by_name.get(name) else ():
            for target in statement.targets:
                if isinstance(target, ast.Subscript) and getattr(target.value, "id", None) == name:
                    yield ast.Dict(keys=[target.slice], values=[statement.value])

    def _entry(self, table: ast.Dict, name: str, parsed: ParsedModule) -> Target | None:
        """``{"Name": ".module"}``, ``{"Name": ".module:Attr"}`` or ``{"Name": (".module", "Attr")}``."""
        for key, value in zip(table.keys, table.values, strict=True):
            if not (isinstance(key, ast.Constant) and key.value == name):
                continue
            parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
            words = [each.value for each in parts if isinstance(each, ast.Constant)]
            if not words or not all(isinstance(word, str) for word in words):
                continue
            module, colon, inner = str(words[0]).partition(":")
            if len(words) > 1 and str(words[1]).startswith("."):  # ("package", ".module")
                module, words = (module + str(words[1])).rstrip("."), words[:1]
            place = self._place(module, parsed)
            if len(words) == 1 and module.isidentifier() and self._sources.has_module(place or "") is Truth.NO:
                continue  # a word, but no module
            if place is not None and (len(words) == 1 or str(words[1]).isidentifier()):
                return place, inner if colon else str(words[1]) if len(words) > 1 else name
        return None

    def _listed(self, table: ast.Dict, name: str, parsed: ParsedModule) -> Target | None:
        """``{"module": ["Name", "Other"]}``."""
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and not isinstance(value, ast.Dict):
                listed = isinstance(value, (ast.List, ast.Tuple, ast.Set)) and name in _strings(value)
                place = self._place(key.value, parsed) if listed else None
                if place is not None and self._sources.has_module(place) is Truth.YES:
                    return place, name
        return None

    def _place(self, module: str, parsed: ParsedModule) -> str | None:
        """The module that a table names: relative with dots, below this package, or absolute."""
        level = len(module) - len(module.lstrip("."))
        plain = module.lstrip(".")
        if not all(part.isidentifier() for part in plain.split(".")) and plain:
            return None
        if level:
            return parsed.absolute(ast.ImportFrom(module=plain or None, names=[], level=level))
        below = parsed.absolute(ast.ImportFrom(module=plain, names=[], level=1))
        if self._sources.has_module(plain) is not Truth.YES and below:
            return below if self._sources.has_module(below) is Truth.YES else plain
        return plain


class _Returns:
    """What a piece of ``__getattr__`` returns for a name, when that is something imported."""

    def __init__(
        self, asked: str, name: str, parsed: ParsedModule, module_of: Callable[[str, ParsedModule], str | None]
    ) -> None:
        self._asked = asked
        self._name = name
        self._parsed = parsed
        self._module_of = module_of

    def target(self, body: list[ast.stmt]) -> Target | None:
        """What the last return of some statements gives."""
        local: dict[str, Target] = {}
        for statement in body:
            if isinstance(statement, ast.ImportFrom) and (base := self._parsed.absolute(statement)):
                local |= {alias.asname or alias.name: (base, alias.name) for alias in statement.names}
            elif isinstance(statement, ast.Import):
                local |= {alias.asname or alias.name: (alias.name, "") for alias in statement.names}
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if (found := self._value(statement.value, local)) is not None:
                    local[statement.targets[0].id] = found
            elif isinstance(statement, ast.Return) and statement.value is not None:
                return self._value(statement.value, local)
        return None

    def _value(self, node: ast.expr, local: dict[str, Target]) -> Target | None:
        if isinstance(node, ast.Name):
            if node.id in local:
                return local[node.id]
            module = self._module_of(node.id, self._parsed)
            return (module, "") if module else None
        base: ast.expr | None = None
        attribute: str | None = None
        if isinstance(node, ast.Attribute):
            base, attribute = node.value, node.attr
        elif isinstance(node, ast.Call) and dotted(node.func) == "getattr" and len(node.args) >= 2:
            base, attribute = node.args[0], self._text(node.args[1])
        elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "import_module" and node.args:
            module = self._text(node.args[0]) or ""
            level = len(module) - len(module.lstrip("."))
            plain = module.lstrip(".")
            if level:
                return (self._parsed.absolute(ast.ImportFrom(module=plain, names=[], level=level)) or "", "")
            return (plain, "") if plain else None
        inner = self._value(base, local) if base is not None else None
        if inner is None or attribute is None:
            return None
        module, name = inner
        return (f"{module}.{name}" if name else module), attribute

    def _text(self, node: ast.expr) -> str | None:
        """A string that is written out but for the name that is asked for."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name):
            return {self._asked: self._name, "__name__": self._parsed.name}.get(node.id)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and self._text(node.slice) == self._name
        ):
            tables = [each.value for each in self._parsed.by_name.get(node.value.id, ())]
            dicts = [table for table in tables if isinstance(table, ast.Dict)]
            pairs = [pair for table in dicts for pair in zip(table.keys, table.values, strict=True)]
            found = [each for key, each in pairs if getattr(key, "value", None) == self._name]
            return self._text(found[-1]) if found and isinstance(found[-1], ast.Constant) else None
        if isinstance(node, ast.FormattedValue):
            return self._text(node.value)
        if isinstance(node, ast.JoinedStr):
            parts = [self._text(each) for each in node.values]
            return None if None in parts else "".join(part for part in parts if part)
        return None


def lazy_object(call: ast.Call) -> Target | None:
    """``LazyImport("package.module", "Name")``: a class whose name says lazy, given two strings."""
    callee = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    words = [each.value for each in call.args if isinstance(each, ast.Constant)]
    if (
        "lazy" in str(callee).lower()
        and len(words) == len(call.args) >= 2
        and all(isinstance(word, str) for word in words[:2])
    ):
        return str(words[0]), str(words[1])
    return None


def _strings(node: ast.AST) -> set[object]:
    """The string itself, or the strings that a collection holds; of a dictionary its keys."""
    parts: list[ast.expr | None] = []
    if isinstance(node, ast.Constant):
        parts = [node]
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        parts = list(node.elts)
    elif isinstance(node, ast.Dict):
        parts = list(node.keys)
    elif isinstance(node, ast.Call) and len(node.args) == 1:
        return _strings(node.args[0])
    return {each.value for each in parts if isinstance(each, ast.Constant)}


def _is_written_out(call: ast.Call, parsed: ParsedModule) -> bool:
    """Whether every table that a call is given stands in the source as it is, and grows by plain entries only."""
    names = {each.id for each in (*call.args, *(word.value for word in call.keywords)) if isinstance(each, ast.Name)}
    tables = [each for name in names for each in parsed.by_name.get(name, ())]
    grows = any(re.search(rb"\b%s\.(?:update|setdefault)\(" % name.encode(), parsed.source) for name in names)
    return not grows and all(isinstance(each.value, ast.Dict) for each in tables if each.name != "__name__")


def _only_raises(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and all(
        isinstance(statement, ast.Raise)
        or (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
        for statement in node.body
    )


def _top(module: str) -> str:
    return module.partition(".")[0]


def _below(body: Iterable[ast.stmt]) -> Iterator[ast.Assign]:
    """The assignments of a module, those under conditions included."""
    for statement in body:
        if isinstance(statement, ast.Assign):
            yield statement
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _below([*statement.body, *statement.orelse])
