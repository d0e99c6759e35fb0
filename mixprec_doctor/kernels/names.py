"""Names: what a name at the top level of a module means to the evaluator."""

from __future__ import annotations

__all__ = ["Names"]

import ast
import contextlib
from typing import TYPE_CHECKING

from mixprec_doctor.kernels.builtins import BUILTINS
from mixprec_doctor.kernels.values import Class, External, Instance, Namespace, Raised, Unknown
from mixprec_doctor.source.exports import Exports, Found, Standin
from mixprec_doctor.source.exports import Outside as OutsideName
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.source.module import Binding, Branch, Guard, ParsedModule, dotted
from mixprec_doctor.source.truth import Truth

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

_MISSING = object()
_EVERYWHERE = frozenset(
    {"torch", "typing_extensions", "numpy", "transformers", "packaging", "pydantic", "compressed_tensors"}
)
_LISTLESS = {"None": None, "False": False, "True": True}


class Names:
    """Names of modules, each worked out once where nothing had to be assumed for it."""

    def __init__(self, evaluator: Evaluator, exports: Exports, packages: frozenset[str]) -> None:
        self._evaluator = evaluator
        self._exports = exports
        self._packages = packages
        self._kept: dict[tuple[str, str], object] = {}
        self._open: set[tuple[str, str]] = set()
        self._classes: dict[int, tuple[Class, ast.ClassDef]] = {}

    def follows(self, module: str) -> bool:
        """Whether a module belongs to the packages that are read."""
        return module.partition(".")[0] in self._packages

    def look_up(self, module: str, name: str) -> object:
        """The value of ``module.name``."""
        if name in self._evaluator.overrides:
            return self._evaluator.overrides[name]
        key = (module, name)
        if key in self._kept:
            return self._kept[key]
        if key in self._open:
            return Unknown(f"{module}.{name}")
        assumed = len(self._evaluator.paths.assumed)
        self._open.add(key)
        try:
            found = self._find(module, name)
        finally:
            self._open.discard(key)
        if found is _MISSING:
            found = BUILTINS.get(name, _MISSING)
            if found is _MISSING:
                found = self._builtin_type(name, module)
        if len(self._evaluator.paths.assumed) == assumed:
            self._kept[key] = found
        return found

    def _builtin_type(self, name: str, module: str) -> object:
        known = getattr(__builtins__, name, None) if not isinstance(__builtins__, dict) else __builtins__.get(name)
        if isinstance(known, type) and issubclass(known, BaseException):
            return External(f"builtins.{name}")
        return External(f"builtins.{name}") if known is not None else Unknown(f"{module}.{name}")

    def class_of(self, node: ast.ClassDef, parsed: ParsedModule) -> Class:
        """The class of a definition; its bases are followed as far as the packages go."""
        if id(node) not in self._classes:
            made = Class(name=node.name, node=node, parsed=parsed)
            made.lineage = (made,)
            self._classes[id(node)] = (made, node)
            above: list[Class] = []
            outside: list[str] = []
            for base in node.bases:
                inner = base.value if isinstance(base, ast.Subscript) else base
                found = resolve_expression(inner, parsed, self._exports)
                home = self._exports.sources.module(found.module) if isinstance(found, Found) else None
                followed = home is not None and self.follows(home.name)
                if followed and isinstance(found, Found) and home and isinstance(found.node, ast.ClassDef):
                    above.append(self.class_of(found.node, home))
                else:
                    outside.append(dotted(inner) or "?")
            lines = [*(list(each.lineage) for each in above), above]
            made.lineage = (made, *_merged([list(line) for line in lines]))
            made.outside = tuple(dict.fromkeys([*outside, *(name for each in above for name in each.outside)]))
            self._decorate(made)
        return self._classes[id(node)][0]

    def _decorate(self, made: Class) -> None:
        """What registering a class under a name sets on it."""
        from mixprec_doctor.kernels.evaluator import Frame

        for decorator in made.node.decorator_list:
            if isinstance(decorator, ast.Call) and dotted(decorator.func).endswith(".register"):
                with contextlib.suppress(Raised):
                    self._evaluator.call(self._evaluator.value(decorator, Frame(made.parsed)), [made])

    def imported(self, module: str, name: str | None = None, *, bound: str | None = None) -> object:
        """What an import statement binds: a module, or a name of one. One that certainly fails raises."""
        self._evaluator.paths.imported.append(f"{module}.{name}" if name else module)
        if self.follows(module):
            if name is not None:
                below = f"{module}.{name}"
                found = self.look_up(module, name)
                if isinstance(found, Unknown) and self._exports.sources.has_module(below) is Truth.YES:
                    return Namespace(below)
                return found
            return Namespace(module if bound else module.partition(".")[0])
        top = module.partition(".")[0]
        there = self._exports.sources.has_module(top)
        if there is Truth.UNKNOWN and not self.outside_knows(top):
            there = Truth.of(self._evaluator.truth(Unknown(f"whether {top} is installed")))
        if there is Truth.NO:
            raise Raised("ModuleNotFoundError", f"no module named {top}")
        if name is not None:
            return self._evaluator.outside.value(f"{module}.{name}")
        return self._evaluator.outside.value(module if bound else top)

    def is_module(self, name: str) -> bool:
        """Whether a module of that name certainly lies in the packages that are read."""
        return self.follows(name) and self._exports.sources.has_module(name) is Truth.YES

    def outside_knows(self, package: str) -> bool:
        """Whether a package is there wherever the engine is."""
        return package in _EVERYWHERE

    def _find(self, module: str, name: str) -> object:
        parsed = self._exports.sources.module(module)
        if parsed is None:
            return self._evaluator.outside.value(f"{module}.{name}")
        for binding in reversed(parsed.by_name.get(name, ())):
            runs = self._runs(binding, parsed)
            if runs:
                return self._bound(binding, parsed, name)
        below = f"{module}.{name}"
        if parsed.is_package and self._exports.sources.has_module(below) is Truth.YES:
            return Namespace(below)
        if "*" in parsed.by_name or "__getattr__" in parsed.by_name:
            return self._far(module, name)
        return _MISSING if name not in parsed.by_name else Unknown(f"{module}.{name}")

    def _runs(self, binding: Binding, parsed: ParsedModule) -> bool:
        return all(self._holds(guard, binding, parsed) for guard in binding.guards)

    def _holds(self, guard: Guard, binding: Binding, parsed: ParsedModule) -> bool:
        """Whether a branch at the top level of a module runs; what is open is assumed."""
        if guard.branch in (Branch.IF, Branch.ELSE) and guard.test is not None:
            text = parsed.text(guard.test)
            if text.endswith("TYPE_CHECKING"):
                return guard.branch is Branch.ELSE
            from mixprec_doctor.kernels.evaluator import Frame

            holds = self._evaluator.truth(self._evaluator.value(guard.test, Frame(parsed)))
            return holds is (guard.branch is Branch.IF)
        truth = self._exports.conditions.judge(guard, parsed)
        if truth is Truth.UNKNOWN:
            first = next((line for line in _imports(guard)), f"line {guard.line} of {parsed.name}")
            holds = self._evaluator.truth(Unknown(f"whether {first} can be imported" if " " not in first else first))
            return holds is (guard.branch is not Branch.EXCEPT)
        return truth is Truth.YES

    def _bound(self, binding: Binding, parsed: ParsedModule, name: str) -> object:
        statement, alias = binding.statement, binding.alias
        if isinstance(statement, ast.ImportFrom) and alias is not None:
            target = parsed.absolute(statement)
            if target is None:
                return Unknown(f"{parsed.name}.{name}")
            try:
                return self.imported(target, alias.name)
            except Raised:
                return Unknown(f"{target}.{alias.name}")
        if isinstance(statement, ast.Import) and alias is not None:
            try:
                return self.imported(alias.name, bound=alias.asname)
            except Raised:
                return Unknown(alias.name)
        if isinstance(statement, ast.ClassDef):
            return self.class_of(statement, parsed)
        if isinstance(statement, ast.FunctionDef):
            return self._evaluator.function(statement, parsed)
        if binding.value is not None:
            return self._assigned(binding.value, statement, parsed, name)
        return Unknown(f"{parsed.name}.{name}")

    def _assigned(self, value: ast.expr, statement: ast.stmt, parsed: ParsedModule, name: str) -> object:
        """What an assignment at the top level gives a name, as a part of a tuple too."""
        from mixprec_doctor.kernels.evaluator import Frame
        from mixprec_doctor.kernels.statements import assign

        frame = Frame(parsed)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.Assign) and any(isinstance(each, (ast.Tuple, ast.List)) for each in targets):
            whole = self._evaluator.value(statement.value, frame)
            for each in targets:
                assign(self._evaluator, each, whole, frame)
            return frame.names.get(name, Unknown(f"{parsed.name}.{name}"))
        found = self._evaluator.value(value, frame)
        if isinstance(found, Instance) and not found.name:
            found.name = name
        return found

    def _far(self, module: str, name: str) -> object:
        """A name that only a star import or a ``__getattr__`` brings."""
        parsed = self._exports.sources.module(module)
        if parsed is not None and "__getattr__" in parsed.by_name:
            answer = self._answered(parsed, name)
            if answer is not _MISSING and not isinstance(answer, Unknown):
                return answer
        found = self._exports.look_up(module, name)
        if isinstance(found, Found) and (found.module, found.name) != (module, name):
            return Namespace(found.module) if found.node is None else self.look_up(found.module, found.name)
        if isinstance(found, Standin):
            return _LISTLESS.get(found.text, Unknown(f"{module}.{name}"))
        if isinstance(found, OutsideName):
            return self._evaluator.outside.value(f"{module}.{name}")
        return _MISSING

    def _answered(self, parsed: ParsedModule, name: str) -> object:
        """What the module's own ``__getattr__`` gives."""
        statement = parsed.by_name["__getattr__"][-1].statement
        if name.startswith("__") or not isinstance(statement, ast.FunctionDef):
            return _MISSING
        try:
            return self._evaluator.call(self._evaluator.function(statement, parsed), [name])
        except Raised:
            return _MISSING


def _imports(guard: Guard) -> list[str]:
    """The modules that the body of a ``try`` imports."""
    found = []
    for statement in guard.before:
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            found.append(statement.module)
    return found


def _merged(lines: list[list[Class]]) -> list[Class]:
    """Python's C3 merge; what it would refuse comes in the order of the source."""
    merged: list[Class] = []
    while lines := [line for line in lines if line]:
        later = {id(each) for line in lines for each in line[1:]}
        first = next((line[0] for line in lines if id(line[0]) not in later), lines[0][0])
        merged.append(first)
        lines = [[each for each in line if each is not first] for line in lines]
    return merged
