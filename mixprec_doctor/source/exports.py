"""Exports: where a name that a module offers really comes from."""

from __future__ import annotations

__all__ = ["Exports", "Found", "Origin", "Outside", "Standin", "Unbound", "is_struct_call"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mixprec_doctor.records.resolution import How
from mixprec_doctor.source.conditions import Conditions
from mixprec_doctor.source.module import Binding, Branch, ParsedModule
from mixprec_doctor.source.placeholders import placeholder_text
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth, every

_LONGEST_CHAIN = 40
_STRUCT_MAKERS = {"defstruct", "make_dataclass", "create_model"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The name is bound to a definition (class, function or value) or to a module."""

    module: str  # where the definition stands
    name: str  # its name there
    node: ast.stmt | None  # the defining statement; None for a module
    value: ast.expr | None = None  # what a plain assignment binds
    how: How = How.DEFINITION
    condition: str | None = None
    chain: tuple[str, ...] = ()  # modules that the name passed through, the asked one first


@dataclass(frozen=True, kw_only=True)
class Standin:
    """The name is there, but something that does not work stands in for it."""

    module: str
    name: str
    text: str  # what stands there: "Any", "None", "class DummyConfig"
    because: str  # why the real one does not
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outside:
    """The name comes from a package whose source is not at hand (compiled, or of the standard library)."""

    module: str
    name: str
    condition: str | None = None
    how: How = How.REEXPORT
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unbound:
    """The import would fail; ``fault`` says how."""

    fault: str


Origin = Found | Standin | Outside | Unbound


class Exports:
    """Answers ``from module import name`` for the trees of some sources, remembering every answer."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._answers: dict[tuple[str, str], Origin] = {}
        self._open: set[tuple[str, str]] = set()  # questions being answered
        self._cut = False  # whether a circle was cut since the outermost of them
        self.conditions = Conditions(sources, self)

    def look_up(self, module: str, name: str) -> Origin:
        """Where the name comes from that ``from module import name`` would give."""
        key = (module, name)
        if key in self._answers:
            return self._answers[key]
        if key in self._open or len(self._open) > _LONGEST_CHAIN:
            self._cut = True
            return Unbound(fault=f"{module}.{name} is imported in a circle")
        self._open.add(key)
        try:
            answer = self._look_up(module, name)
        finally:
            self._open.discard(key)
        # A "no" from inside a circle that was cut holds for that question only, not for one asked elsewhere.
        if not (self._cut and self._open and isinstance(answer, Unbound)):
            self._answers[key] = answer
        self._cut = self._cut and bool(self._open)
        return answer

    def _look_up(self, module: str, name: str) -> Origin:
        parsed = self.sources.module(module)
        if parsed is None:
            return self._opaque(module, name)
        bound = self._bound(parsed, name)
        if bound is not None and not isinstance(bound, Unbound):
            return bound
        if parsed.is_package and self.sources.has_module(f"{module}.{name}") is Truth.YES:
            return Found(module=f"{module}.{name}", name="", node=None, how=How.DEFINITION, chain=(module,))
        return self._lazy(parsed, name) or bound or Unbound(fault=f"{module} has no {name}")

    def _opaque(self, module: str, name: str) -> Origin:
        """A module without parsable source: missing, compiled, a namespace folder, or not at hand."""
        if module in self.sources.faults:
            return Unbound(fault=f"{module} cannot be parsed: {self.sources.faults[module]}")
        there = self.sources.has_module(module)
        if there is Truth.NO:
            return Unbound(fault=self._no_module(module))
        inner = f"{module}.{name}"
        if self.sources.tree(module.partition(".")[0]) and self.sources.has_module(inner) is Truth.YES:
            return Found(module=inner, name="", node=None, chain=(module,))
        condition = None if there is Truth.YES else f"{module} can be imported"
        return Outside(module=module, name=name, condition=condition, chain=(module,))

    def _no_module(self, module: str) -> str:
        """The shortest part of a dotted name that is not there."""
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            part = ".".join(parts[:length])
            if self.sources.has_module(part) is Truth.NO:
                return f"no module named {part}"
        return f"no module named {module}"

    def _bound(self, parsed: ParsedModule, name: str) -> Origin | None:
        """What the last binding of the name that can run leaves behind; None when there is none."""
        candidates = parsed.by_name.get(name, [])
        if not name.startswith("_"):
            candidates = sorted([*candidates, *parsed.by_name.get("*", [])], key=lambda binding: binding.line)
        open_answer: Origin | None = None  # holds only if a condition does that nobody can judge
        blocked: str | None = None
        for binding in reversed(candidates):
            truth = every(self.conditions.judge(guard, parsed) for guard in binding.guards)
            if truth is Truth.NO:
                blocked = blocked or self._why_not(binding, parsed, name)
                continue
            answer = self._follow(binding, parsed, name)
            if answer is None:
                continue  # a star import that does not bring the name
            if isinstance(answer, Unbound):
                blocked = blocked or answer.fault
                if truth is Truth.YES:
                    break
                continue
            if truth is Truth.YES:
                return open_answer if isinstance(open_answer, (Found, Outside)) else answer
            if open_answer is None or isinstance(open_answer, Standin):
                open_answer = self._conditional(answer, binding, parsed)
        if open_answer is not None:
            return open_answer
        return Unbound(fault=blocked) if blocked else None

    def _why_not(self, binding: Binding, parsed: ParsedModule, name: str) -> str | None:
        """Why a binding that would bring the name does not run."""
        if binding.name != name:
            return None
        for guard in binding.guards:
            if guard.branch is Branch.TRY:
                for statement in guard.before:
                    if failing := self.conditions.failing_import(statement, parsed):
                        return f"{parsed.name} has {name} only if an import succeeds: {failing}"
            elif self.conditions.judge(guard, parsed) is Truth.NO and guard.test is not None:
                return f"{parsed.name} has {name} only if {self.conditions.text(guard, parsed)}"
        return None

    def _conditional(self, answer: Origin, binding: Binding, parsed: ParsedModule) -> Origin:
        if not isinstance(answer, (Found, Outside)):
            return answer
        texts = [self.conditions.text(guard, parsed) for guard in binding.guards]
        own = " and ".join(text for text in texts if text)
        both = " and ".join(text for text in (own, answer.condition or "") if text)
        return replace(answer, how=How.CONDITIONAL, condition=both or None)

    def _follow(self, binding: Binding, parsed: ParsedModule, name: str) -> Origin | None:
        statement = binding.statement
        if isinstance(statement, ast.ImportFrom):
            return self._from_import(statement, binding, parsed, name)
        if isinstance(statement, ast.Import):
            return self._plain_import(binding, parsed)
        if isinstance(statement, ast.Delete):
            return Unbound(fault=f"{parsed.name} deletes {name} on line {binding.line}")
        if text := placeholder_text(binding, parsed):
            because = " and ".join(filter(None, (self.conditions.reason(guard, parsed) for guard in binding.guards)))
            return Standin(module=parsed.name, name=name, text=text, because=because or "always", chain=(parsed.name,))
        if binding.value is not None:
            return self._assignment(binding, parsed, name)
        return Found(module=parsed.name, name=name, node=statement, chain=(parsed.name,))

    def _from_import(
        self, statement: ast.ImportFrom, binding: Binding, parsed: ParsedModule, name: str
    ) -> Origin | None:
        target = parsed.absolute(statement)
        if target is None:
            return Unbound(fault=f"{parsed.name} imports from beyond its top-level package")
        if binding.name == "*":
            return self._star(target, parsed, name)
        assert binding.alias is not None  # noqa: S101  imports always have one
        if parsed.is_package and target == parsed.name and binding.alias.name == name:
            # `from . import name` in a package: the submodule
            return self._passed(self._submodule(target, name), parsed)
        return self._passed(self.look_up(target, binding.alias.name), parsed)

    def _submodule(self, package: str, name: str) -> Origin:
        if self.sources.has_module(f"{package}.{name}") is Truth.YES:
            return Found(module=f"{package}.{name}", name="", node=None)
        return Unbound(fault=f"no module named {package}.{name}")

    def _star(self, target: str, parsed: ParsedModule, name: str) -> Origin | None:
        source = self.sources.module(target)
        if source is None:
            return None
        public = self._public(source)
        if public is not None and name not in public:
            return None
        answer = self.look_up(target, name)
        if isinstance(answer, Unbound) or (isinstance(answer, Found) and answer.node is None):
            return None
        return self._passed(answer, parsed)

    def _public(self, source: ParsedModule) -> frozenset[str] | None:
        """The names in ``__all__`` when it is a plain list; None when there is none that can be read."""
        names: set[str] = set()
        readable = False
        for statement in source.tree.body:
            value: ast.expr | None = None
            if isinstance(statement, ast.Assign) and _is_all(statement.targets[0]):
                value, names = statement.value, set()
            elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)) and _is_all(statement.target):
                value = statement.value
            if value is None:
                continue
            if not isinstance(value, (ast.List, ast.Tuple)):
                return None
            readable = True
            names |= {str(each.value) for each in value.elts if isinstance(each, ast.Constant)}
        return frozenset(names) if readable else None

    def _plain_import(self, binding: Binding, parsed: ParsedModule) -> Origin:
        assert binding.alias is not None  # noqa: S101  imports always have one
        wanted = binding.alias.name
        there = self.sources.has_module(wanted)
        if there is Truth.NO:
            return Unbound(fault=self._no_module(wanted))
        bound = wanted if binding.alias.asname else wanted.partition(".")[0]
        return self._passed(Found(module=bound, name="", node=None), parsed)

    def _assignment(self, binding: Binding, parsed: ParsedModule, name: str) -> Origin:
        """``X = Y`` and ``X = module.Y`` are followed; a lazy-import object too; else it defines X."""
        value = binding.value
        own = Found(module=parsed.name, name=name, node=binding.statement, value=value, chain=(parsed.name,))
        if isinstance(value, ast.Name) and value.id != name:
            answer = self.look_up(parsed.name, value.id)
            return own if isinstance(answer, Unbound) else answer
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
            base = self.look_up(parsed.name, value.value.id)
            if isinstance(base, Found) and base.node is None:
                answer = self.look_up(base.module, value.attr)
                if isinstance(answer, (Found, Standin)):
                    return self._passed(answer, parsed)
        if isinstance(value, ast.Call) and (target := _lazy_object(value)) is not None:
            answer = self.look_up(*target)
            return self._as_lazy(answer, parsed)
        if isinstance(value, ast.Call) and (rebuilt := _class_before(binding, parsed)) is not None:
            if is_struct_call(value):  # its fields are read where parameters are asked for
                return replace(own, node=rebuilt)
            made = f"rebuilt from its class by {parsed.text(value.func)} on line {binding.line}"
            return replace(own, node=rebuilt, condition=made)
        return own

    def _lazy(self, parsed: ParsedModule, name: str) -> Origin | None:
        """A module ``__getattr__``: its tables of names, or the imports inside it."""
        getter = next(
            (each.statement for each in parsed.by_name.get("__getattr__", ())
             if isinstance(each.statement, ast.FunctionDef)),
            None,
        )  # fmt: skip
        if getter is None:
            return None
        getter = parsed.whole(getter)
        for table in [*_tables(parsed), *(node for node in ast.walk(getter) if isinstance(node, ast.Dict))]:
            if (target := _lazy_entry(table, name, parsed)) is not None:
                return self._as_lazy(self.look_up(*target), parsed)
        for node in ast.walk(getter):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name and (base := parsed.absolute(node)) is not None:
                        return self._as_lazy(self.look_up(base, alias.name), parsed)
        if any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(getter)):
            return Outside(module=parsed.name, name=name, how=How.LAZY, chain=(parsed.name,))  # made on demand
        return None

    def _as_lazy(self, answer: Origin, parsed: ParsedModule) -> Origin:
        answer = self._passed(answer, parsed)
        return replace(answer, how=How.LAZY) if isinstance(answer, (Found, Outside)) else answer

    def _passed(self, answer: Origin, parsed: ParsedModule) -> Origin:
        """The answer as seen one module further on."""
        if isinstance(answer, Unbound):
            return answer
        chain = (parsed.name, *answer.chain)
        if isinstance(answer, Found) and answer.how is How.DEFINITION:
            return replace(answer, how=How.REEXPORT, chain=chain)
        return replace(answer, chain=chain)


def _class_before(binding: Binding, parsed: ParsedModule) -> ast.ClassDef | None:
    """The class of the same name that ``X = decorate(X)`` or ``X = defstruct("X", ...)`` replaces."""
    for earlier in parsed.by_name.get(binding.name, ()):
        if isinstance(earlier.statement, ast.ClassDef) and earlier.line < binding.line:
            return earlier.statement
    return None


def is_struct_call(value: ast.expr | None) -> bool:
    """Whether an expression makes a struct: ``msgspec.defstruct(...)``, ``make_dataclass(...)``."""
    if not isinstance(value, ast.Call):
        return False
    callee = value.func
    return (callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")) in _STRUCT_MAKERS


def _is_all(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "__all__"


def _lazy_object(call: ast.Call) -> tuple[str, str] | None:
    """``LazyImport("package.module", "Name")``: a class whose name says lazy, given two strings."""
    callee = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    words = [each.value for each in call.args if isinstance(each, ast.Constant)]
    if "lazy" in str(callee).lower() and len(words) >= 2 and all(isinstance(word, str) for word in words[:2]):
        return str(words[0]), str(words[1])
    return None


def _tables(parsed: ParsedModule) -> Iterator[ast.Dict]:
    """The dictionaries that a module binds to names."""
    for binding in parsed.bindings:
        if isinstance(binding.value, ast.Dict):
            yield binding.value


def _lazy_entry(table: ast.Dict, name: str, parsed: ParsedModule) -> tuple[str, str] | None:
    """``{"Name": ".module"}``, ``{"Name": ".module:Attr"}`` or ``{"Name": (".module", "Attr")}``."""
    for key, value in zip(table.keys, table.values, strict=True):
        if not (isinstance(key, ast.Constant) and key.value == name):
            continue
        attribute = name
        words: list[object] = []
        if isinstance(value, ast.Constant):
            words = [value.value]
        elif isinstance(value, (ast.Tuple, ast.List)):
            words = [each.value for each in value.elts if isinstance(each, ast.Constant)]
        if not words or not all(isinstance(word, str) for word in words):
            continue
        module, colon, inner = str(words[0]).partition(":")
        attribute = inner if colon else str(words[1]) if len(words) > 1 else name
        level = len(module) - len(module.lstrip("."))
        statement = ast.ImportFrom(module=module.lstrip(".") or None, names=[], level=level)
        absolute = parsed.absolute(statement)
        if absolute:
            return absolute, attribute
    return None
