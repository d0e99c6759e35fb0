"""Roles resolved: the usual places first, then the engine's own registry, then what a thing is."""

from __future__ import annotations

__all__ = ["RoleResolver"]

import ast
from collections.abc import Callable, Iterator

from mixprec_doctor.kept import kept
from mixprec_doctor.records.resolution import Attempt, How, Resolution, Status
from mixprec_doctor.records.role import CONFIG_ROLES, LINEAR_METHOD_ROLES, Role
from mixprec_doctor.resolving.binding import bind
from mixprec_doctor.resolving.layout import Layout, Usual
from mixprec_doctor.resolving.registry import Registered, registered_classes
from mixprec_doctor.resolving.shapes import config_named, direct_base, linear_methods_of
from mixprec_doctor.resolving.symbols import find_definitions, find_elsewhere, module_of, scoped_paths, within
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Exports, Found, Origin, Outside, Standin, Unbound
from mixprec_doctor.source.tree import Tree

_FUNCTIONS = frozenset({
    Role.GET_MODEL_LOADER, Role.REGISTER_MODEL_LOADER, Role.GET_QUANTIZATION_CONFIG,
    Role.REGISTER_QUANTIZATION_CONFIG, Role.LAUNCH_SERVER, Role.PLUGIN_HOOK,
})  # fmt: skip
_VALUES = frozenset({Role.QUANTIZATION_REGISTRY, Role.LOAD_FORMAT})
_BASE_OF: dict[Role, Role] = {  # a base class whose name is gone is still the base of its subclass
    Role.QUANTIZATION_CONFIG: Role.FP8_CONFIG,
    Role.LINEAR_METHOD_BASE: Role.UNQUANTIZED_LINEAR_METHOD,
    Role.LINEAR_BASE: Role.REPLICATED_LINEAR,
}
_METHOD_NAMES = {"compressed_tensors": "compressed-tensors"}  # as checkpoints and registries write them

Candidate = tuple[str, Origin]


class RoleResolver:
    """Resolves the roles of one engine in one set of sources; every answer remembers what was tried."""

    def __init__(self, exports: Exports, layout: Layout) -> None:
        self._exports = exports
        self._layout = layout
        self._answers: dict[Role, tuple[Resolution, Found | None]] = {}
        self._open: set[Role] = set()
        self._registered_as: dict[tuple[str, str], tuple[Registered, ...]] = {}

    def resolve(self, role: Role) -> Resolution:
        """Where the role lives in this release, how it is called, and every path tried."""
        return self._answer(role)[0]

    def _answer(self, role: Role) -> tuple[Resolution, Found | None]:
        if role not in self._answers:
            self._open.add(role)
            self._answers[role] = self._search(role)
            self._open.discard(role)
        return self._answers[role]

    def _search(self, role: Role) -> tuple[Resolution, Found | None]:
        tried: list[Attempt] = []
        standin: Standin | None = None
        outside: Outside | None = None
        for path, origin in self._candidates(role):
            fault = self._fault(role, origin)
            tried.append(Attempt(path=path, fault=fault))
            if isinstance(origin, Found) and fault is None:
                return self._found(role, origin, tried), origin
            standin = standin or (origin if isinstance(origin, Standin) else None)
            outside = outside or (origin if isinstance(origin, Outside) else None)
        if outside is not None and standin is None:
            return self._elsewhere(role, outside, tried), None
        if reason := self._layout.absent.get(role):
            tried.append(Attempt(path=self._layout.engine, fault=reason))
        status = Status.PLACEHOLDER if standin else Status.MISSING
        return (
            Resolution(
                role=role,
                engine=self._layout.engine,
                status=status,
                module=standin.module if standin else None,
                name=standin.name if standin else None,
                how=How.PLACEHOLDER if standin else None,
                condition=standin.because if standin else None,
                tried=tuple(tried),
            ),
            None,
        )

    def _candidates(self, role: Role) -> Iterator[Candidate]:
        """Paths to try, in order; later ones are only looked at when the earlier have failed."""
        usual = self._layout.usual.get(role, Usual(names=(), modules=()))
        for name in usual.names:  # the best first: a lesser one counts where no better one is left, moved or not
            for module in usual.modules:
                yield f"{module}.{name}", self._exports.look_up(module, name)
            if name != usual.names[-1]:
                yield from self._imported(name)
        if role in CONFIG_ROLES:
            yield from self._registered(role)
        if role in LINEAR_METHOD_ROLES:
            yield from self._of_config(role)
        yield from self._moved(role, usual)
        if role in CONFIG_ROLES:
            yield from self._by_name_returned(role)
        if role in _BASE_OF and _BASE_OF[role] not in self._open:
            yield from self._base_of(_BASE_OF[role])

    def _registered(self, role: Role) -> Iterator[Candidate]:
        method = _method(role)
        for module in self._layout.registries:
            entries = self._entries(module, method)
            if not entries:
                yield f"{module}[{method!r}]", Unbound(fault="the registry has no such method")
            for entry in entries:
                yield entry.path, entry.origin

    def _elsewhere(self, role: Role, outside: Outside, tried: list[Attempt]) -> Resolution:
        """What the engine takes from a package whose source is not at hand: where it is, not how it is called."""
        return Resolution(
            role=role,
            engine=self._layout.engine,
            status=Status.FOUND,
            module=outside.module,
            name=outside.name,
            how=outside.how,
            condition=outside.condition,
            tried=tuple(tried),
            defined_in=outside.module,
        )

    def _unregistered(self, role: Role) -> str | None:
        """On what the engine's registry has the method, when it has it only on some condition."""
        if role not in CONFIG_ROLES:
            return None
        method = _method(role)
        entries = [each for module in self._layout.registries for each in self._entries(module, method)]
        if not entries or any(each.condition is None for each in entries):
            return None
        texts = dict.fromkeys(each.condition for each in entries if each.condition)
        return f"the registry has {method!r} only if {' or '.join(texts)}"

    def _entries(self, module: str, method: str) -> tuple[Registered, ...]:
        if (module, method) not in self._registered_as:
            self._registered_as[module, method] = tuple(registered_classes(self._exports, module, method))
        return self._registered_as[module, method]

    def _of_config(self, role: Role) -> Iterator[Candidate]:
        """What the method's config makes for a linear layer, the marlin one first for a marlin role."""
        method = role.method
        config_role = next((each for each in CONFIG_ROLES if each.method == method), None)
        if method is None or config_role is None or config_role in self._open:
            return
        _, config = self._answer(config_role)
        if config is None:
            return
        found = list(linear_methods_of(config, self._exports))
        found.sort(key=lambda each: ("marlin" in each.name.lower()) is not method.endswith("_marlin"))
        for each in found:
            yield f"{config.module}.{config.name}.get_quant_method makes {each.name}", each

    def _moved(self, role: Role, usual: Usual) -> Iterator[Candidate]:
        """The usual names, defined in a module where they did not use to stand."""
        tree = self._tree
        for name in usual.names if tree else ():
            assert tree is not None  # noqa: S101  the line above
            found = list(find_definitions(self._exports, tree, name, self._scoped))
            if not found and role not in self._layout.absent:
                found = [
                    each
                    for each in find_elsewhere(self._exports, tree, name, self._layout)
                    if within(each.module, self._layout.core)
                ]
            for each in found:
                yield f"{each.module}.{each.name}", each

    def _imported(self, name: str) -> Iterator[Candidate]:
        """What modules of the layout's scope know under a name, where it is defined in the engine proper."""
        tree, plain = self._tree, name.encode()
        for path in self._scoped if tree else ():
            if tree and plain in (tree.read(path) or b""):
                origin = self._exports.look_up(module_of(path)[0], name)
                if isinstance(origin, Found) and origin.name == name and within(origin.module, self._layout.core):
                    yield f"{origin.module}.{name}", origin

    def _by_name_returned(self, role: Role) -> Iterator[Candidate]:
        if self._tree is not None:
            for each in config_named(self._exports, self._tree, _method(role), self._scoped):
                yield f"{each.module}.{each.name}.get_name gives {_method(role)!r}", each

    def _base_of(self, role: Role) -> Iterator[Candidate]:
        _, found = self._answer(role)
        base = direct_base(found, self._exports) if found else None
        if found is not None and base is not None:
            yield f"the base of {found.module}.{found.name}", base

    def _fault(self, role: Role, origin: Origin) -> str | None:
        """Why what a path leads to is not what the role asks for; None when it is."""
        if isinstance(origin, Standin):
            return f"{origin.text} stands in for it: {origin.because}"
        if isinstance(origin, Outside):
            return f"comes from {origin.module}, whose source is not at hand"
        if not isinstance(origin, Found):
            return origin.fault
        if origin.node is None:
            return "is a module"
        if role in _VALUES or _is_wanted_kind(role)(origin.node):
            return None
        return f"is not a {'function' if role in _FUNCTIONS else 'class'}"

    def _found(self, role: Role, found: Found, tried: list[Attempt]) -> Resolution:
        parameters = parameters_of(found, self._exports)
        condition = " and ".join(text for text in (found.condition, self._unregistered(role)) if text) or None
        return Resolution(
            role=role,
            engine=self._layout.engine,
            status=Status.FOUND,
            module=found.module,
            name=found.name,
            parameters=parameters,
            doubt=doubt_about(found, self._exports) if role not in _VALUES else None,
            how=How.CONDITIONAL if condition else How.DEFINITION,
            condition=condition,
            binding=bind(role, found, parameters, self._exports),
            tried=tuple(tried),
            defined_in=found.module,
            formerly=self._formerly(role, found),
        )

    def _formerly(self, role: Role, found: Found) -> str | None:
        """The usual name, where this release has another."""
        usual = self._layout.usual.get(role)
        if usual is None or not usual.names or found.name in usual.names:
            return None
        return f"{usual.modules[0]}.{usual.names[0]}"

    @kept
    def _tree(self) -> Tree | None:
        return self._exports.sources.tree(self._layout.engine)

    @kept
    def _scoped(self) -> tuple[str, ...]:
        return scoped_paths(self._tree, self._layout) if self._tree else ()


def _method(role: Role) -> str:
    method = role.method or ""
    return _METHOD_NAMES.get(method, method)


def _is_wanted_kind(role: Role) -> Callable[[ast.stmt], bool]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef) if role in _FUNCTIONS else (ast.ClassDef,)
    return lambda node: isinstance(node, kinds)
