"""Exports: where a name that a module offers really comes from."""

from __future__ import annotations

__all__ = ["Exports", "Found", "Origin", "Outside", "Standin", "Unbound", "is_struct_call"]

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mixprec_doctor.records.resolution import How
from mixprec_doctor.source.conditions import Conditions
from mixprec_doctor.source.lazy import ANYTHING, MADE, LazyNames, Target, lazy_object
from mixprec_doctor.source.module import GLOBALS, OWN_PLACE, Binding, Branch, Guard, ParsedModule
from mixprec_doctor.source.placeholders import placeholder_text
from mixprec_doctor.source.publics import Publics
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import has_extension, module_files
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
        self._answers: dict[tuple[str, str, bool], Origin] = {}
        self._open: set[tuple[str, str, bool]] = set()  # questions being answered
        self._cut = False  # whether a circle was cut since the outermost of them
        self.conditions = Conditions(sources, self)
        self._publics = Publics(self.conditions.judge, self._assigned)
        self._lazies = LazyNames(sources, self._module_of)
        self.kept: dict[tuple[object, ...], Any] = {}  # what others work out from the answers, once
        self._no_packages: dict[str, str | None] = {}  # modules, and the plain module above them

    def look_up(self, module: str, name: str) -> Origin:
        """Where the name comes from that ``from module import name`` would give."""
        return self._answer((module, name, False), self._look_up)

    def _answer(self, key: tuple[str, str, bool], find: Callable[[str, str], Origin]) -> Origin:
        """The answer to a question, found once; a question that leads back to itself has none."""
        module, name, _ = key
        if key in self._answers:
            return self._answers[key]
        if key in self._open or len(self._open) > _LONGEST_CHAIN:
            self._cut = True
            return Unbound(fault=f"{module}.{name} is imported in a circle")
        self._open.add(key)
        try:
            answer = find(module, name)
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
        if (above := self._plain_module_above(module)) is not None:
            return Unbound(fault=f"{above} is a module and no package")
        if OWN_PLACE in parsed.by_name and (replaced := self._replaced(parsed, name)) is not None:
            return replaced
        bound = self._bound(parsed, name)
        below = f"{module}.{name}"
        there = parsed.is_package and self.conditions.has_module(below) is Truth.YES
        if there and (bound is None or isinstance(bound, Unbound) or self._submodule_comes_last(parsed, name)):
            return Found(module=below, name="", node=None, how=How.DEFINITION, chain=(module,))
        if bound is not None and not isinstance(bound, Unbound):
            return bound
        return (
            self._lazy(parsed, name)
            or self._through_globals(parsed, name)
            or bound
            or Unbound(fault=f"{module} has no {name}")
        )

    def _look_up_bound(self, module: str, name: str) -> Origin:
        """What the statements of a module bind, submodules that a package imports itself included."""
        parsed = self.sources.module(module)
        if parsed is None:
            return Unbound(fault=f"{module} has no {name}")
        bound = self._bound(parsed, name)
        if (bound is None or isinstance(bound, Unbound)) and parsed.is_package:
            below = f"{module}.{name}"
            if self.conditions.has_module(below) is Truth.YES and self._imports_of(parsed, below):
                return Found(module=below, name="", node=None, chain=(module,))
        return bound or Unbound(fault=f"{module} has no {name}")

    def _imports_of(self, parsed: ParsedModule, module: str) -> list[Binding]:
        """The statements of a module that import another one, or a module below it."""
        found = []
        for binding in parsed.bindings:
            named = None
            if isinstance(binding.statement, ast.ImportFrom):
                named = parsed.absolute(binding.statement)
                if named == parsed.name and binding.alias is not None:
                    named = f"{named}.{binding.alias.name}"
            elif isinstance(binding.statement, ast.Import) and binding.alias is not None:
                named = binding.alias.name
            if named and f"{named}.".startswith(f"{module}.") and self._runs(binding, parsed) is Truth.YES:
                found.append(binding)
        return found

    def _submodule_comes_last(self, parsed: ParsedModule, name: str) -> bool:
        """Whether a submodule is first imported below every statement that binds its name: it takes the name over."""
        imports = self._imports_of(parsed, f"{parsed.name}.{name}")
        own = [each.line for each in parsed.by_name.get(name, ()) if self._runs(each, parsed) is not Truth.NO]
        return bool(imports and own) and imports[0].line > max(own)

    def _runs(self, binding: Binding, parsed: ParsedModule) -> Truth:
        return every(self.conditions.judge(guard, parsed) for guard in binding.guards)

    def _plain_module_above(self, module: str) -> str | None:
        """The module above this one that is a file, so that nothing can be imported from below it."""
        above = module.rpartition(".")[0]
        if not above:
            return None
        if above not in self._no_packages:
            tree = self.sources.tree(module.partition(".")[0])
            package, plain = module_files(above)
            is_file = tree is not None and not tree.has(package) and tree.has(plain)
            if is_file and tree is not None and "." not in above:
                is_file = not tree.list(above)  # of a whole tree only its folder tells
            self._no_packages[above] = above if is_file else self._plain_module_above(above)
        return self._no_packages[above]

    def _opaque(self, module: str, name: str) -> Origin:
        """A module without parsable source: missing, compiled, a namespace folder, or not at hand."""
        if module in self.sources.faults:
            return Unbound(fault=f"{module} cannot be parsed: {self.sources.faults[module]}")
        there = self.conditions.has_module(module)
        if there is Truth.NO:
            return Unbound(fault=self._no_module(module))
        inner = f"{module}.{name}"
        if self.sources.tree(module.partition(".")[0]) and self.conditions.has_module(inner) is Truth.YES:
            return Found(module=inner, name="", node=None, chain=(module,))
        if there is Truth.YES and self._is_namespace(module):
            return Unbound(fault=f"{module} is a folder without {name}")
        condition = None if there is Truth.YES else f"{module} can be imported"
        return Outside(module=module, name=name, condition=condition, chain=(module,))

    def _is_namespace(self, module: str) -> bool:
        tree = self.sources.tree(module.partition(".")[0])
        if tree is None or any(tree.has(path) for path in module_files(module)):
            return False
        return not has_extension(tree, module) and not has_extension(tree, f"{module}.__init__")

    def _no_module(self, module: str) -> str:
        """The shortest part of a dotted name that is not there."""
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            part = ".".join(parts[:length])
            if self.conditions.has_module(part) is Truth.NO:
                return f"no module named {part}"
        return f"no module named {module}"

    def _bound(self, parsed: ParsedModule, name: str) -> Origin | None:
        """What the last binding of the name that can run leaves behind; None when there is none."""
        candidates = parsed.by_name.get(name, [])
        if not name.startswith("__") and "*" in parsed.by_name:
            candidates = sorted([*candidates, *parsed.by_name["*"]], key=lambda binding: binding.line)
        open_answer: Origin | None = None  # holds only if a condition does that nobody can judge
        blocked: str | None = None
        branches: list[tuple[Binding, Origin]] = []  # what undecided branches bring
        for binding in reversed(candidates):
            truth = self._runs(binding, parsed)
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
            if any(_complete(binding, answer, *other) for other in branches):
                return answer
            branches.append((binding, answer))
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
        if self.conditions.has_module(f"{package}.{name}") is Truth.YES:
            return Found(module=f"{package}.{name}", name="", node=None)
        return Unbound(fault=f"no module named {package}.{name}")

    def _star(self, target: str, parsed: ParsedModule, name: str) -> Origin | None:
        source = self.sources.module(target)
        if source is None:
            return None
        public = self._publics.of(source)
        if public is None or not public.readable:
            if name.startswith("_"):
                return None
            answer = self._answer((target, name, True), self._look_up_bound)
            if public is not None:
                answer = _under(answer, f"__all__ of {target} names it")
        elif name not in public.names:
            return None
        else:  # with its own ``__all__`` a star import is like one that names them all
            answer = self.look_up(target, name)
            for guard in public.names[name]:
                answer = _under(answer, self.conditions.text(guard, source))
        return None if isinstance(answer, Unbound) else self._passed(answer, parsed)

    def _assigned(self, node: ast.expr, parsed: ParsedModule) -> tuple[ast.expr, ParsedModule] | ParsedModule | None:
        """The module that an expression names, or what the name was assigned and where."""
        if isinstance(node, ast.Name):
            found = self.look_up(parsed.name, node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self._module_of(node.value.id, parsed)
            found = self.look_up(module, node.attr) if module else Unbound(fault="")
        else:
            return None
        home = self.sources.module(found.module) if isinstance(found, Found) else None
        if home is None or not isinstance(found, Found):
            return None
        return home if found.node is None else (found.value, home) if found.value is not None else None

    def _module_named(self, node: ast.expr, parsed: ParsedModule) -> str | None:
        """The module that a dotted name of a module means."""
        if isinstance(node, ast.Name):
            return self._module_of(node.id, parsed)
        base = self._module_named(node.value, parsed) if isinstance(node, ast.Attribute) else None
        if base is None or not isinstance(node, ast.Attribute):
            return None
        found = self.look_up(base, node.attr)
        return found.module if isinstance(found, Found) and found.node is None else None

    def _module_of(self, name: str, parsed: ParsedModule) -> str | None:
        """The module that a name of a module is bound to."""
        found = self.look_up(parsed.name, name)
        return found.module if isinstance(found, Found) and found.node is None else None

    def _plain_import(self, binding: Binding, parsed: ParsedModule) -> Origin:
        assert binding.alias is not None  # noqa: S101  imports always have one
        wanted = binding.alias.name
        there = self.conditions.has_module(wanted)
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
        if isinstance(value, ast.Attribute) and (base := self._module_named(value.value, parsed)) is not None:
            answer = self.look_up(base, value.attr)
            if isinstance(answer, (Found, Standin)):
                return self._passed(answer, parsed)
        if isinstance(value, ast.Call) and (target := lazy_object(value)) is not None:
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
        if "__getattr__" not in parsed.by_name or name.startswith("__"):
            return None
        answer = self._lazies.answer(parsed, name)
        if isinstance(answer, tuple):
            return self._as_lazy(self._target(answer), parsed)
        made = Outside(module=parsed.name, name=name, how=How.LAZY, chain=(parsed.name,))
        if answer is ANYTHING:
            return _under(made, f"__getattr__ of {parsed.name} answers it")
        return made if answer is MADE else None

    def _target(self, target: Target) -> Origin:
        module, name = target
        if name:
            return self.look_up(module, name)
        if self.conditions.has_module(module) is Truth.NO:
            return Unbound(fault=self._no_module(module))
        return Found(module=module, name="", node=None)

    def _replaced(self, parsed: ParsedModule, name: str) -> Origin | None:
        """What a module offers that puts something else in its own place; None where it does not."""
        if self._runs(parsed.by_name[OWN_PLACE][-1], parsed) is Truth.NO:
            return None
        answer = self._lazies.replaced(parsed, name)
        if isinstance(answer, tuple):
            return self._as_lazy(self._target(answer), parsed)
        if answer is None:
            return Unbound(fault=f"the import structure of {parsed.name} has no {name}")
        there = Outside(module=parsed.name, name=name, how=How.LAZY, chain=(parsed.name,))
        return _under(there, f"{parsed.name} puts something else in its own place")

    def _through_globals(self, parsed: ParsedModule, name: str) -> Origin | None:
        """A name that only running binds: through ``globals()``, or by a function that declares it global."""
        plain = re.escape(name).encode()
        there = Outside(module=parsed.name, name=name, how=How.LAZY, chain=(parsed.name,))
        if GLOBALS in parsed.by_name and re.search(rb"['\"]%s['\"]" % plain, parsed.source):
            return _under(there, f"{parsed.name} writes into globals()")
        if b"global " in parsed.source and re.search(rb"(?m)^[ \t]+global [^\n]*\b%s\b" % plain, parsed.source):
            return _under(there, f"a function of {parsed.name} binds it")
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


def _under(answer: Origin, condition: str | None) -> Origin:
    """The answer, holding only under a condition."""
    if condition is None or not isinstance(answer, (Found, Outside)):
        return answer
    own = answer.condition or ""
    both = own if condition in own else f"{condition} and {own}" if own else condition
    how = answer.how if answer.how is How.LAZY else How.CONDITIONAL
    return replace(answer, how=how, condition=both)


def _complete(one: Binding, answer: Origin, other: Binding, same: Origin) -> bool:
    """Whether two bindings are the two branches of one ``if`` and bring the same thing."""
    if not one.guards or not other.guards or one.guards[:-1] != other.guards[:-1]:
        return False
    if not isinstance(answer, Found) or not isinstance(same, Found) or answer.condition or same.condition:
        return False
    last: tuple[Guard, Guard] = (one.guards[-1], other.guards[-1])
    both = {each.branch for each in last} == {Branch.IF, Branch.ELSE} and last[0].line == last[1].line
    return both and (answer.module, answer.name, answer.node) == (same.module, same.name, same.node)
