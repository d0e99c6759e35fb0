"""Offers: whether ``from module import name`` finds the name, as far as the source says so for certain."""

from __future__ import annotations

__all__ = ["Offer", "Offers", "listed_names"]

import ast
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import Binding, ParsedModule
from mixprec_doctor.source.tree import FolderTree, has_extension
from mixprec_doctor.source.truth import Truth, every

_OWN_ENTRY = re.compile(rb"sys\.modules\[__name__\]")
_LITERAL_ENTRY = re.compile(rb"""sys\.modules\[["']([\w.]+)["']\]""")
_CHANGED_ALL = re.compile(rb"__all__\s*(?:\+=|\.|\[)")
# In functions too what could run at import time; the rest only where it stands at the beginning of a line.
_COMPUTED = re.compile(
    rb"globals\(\)|\bexec\(|setattr\(\s*sys\.modules|sys\.modules\[__name__\]"
    rb"|(?m:^)(?:[^\s#].*)?(?:\b(?:locals|vars)\(\)|\bsetattr\(|\bsys\.modules\[)"
)


class Offer(Enum):
    """What a module has under a name."""

    ATTRIBUTE = "attribute"
    SUBMODULE = "submodule"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Offers:
    """Answers for the modules of some sources; compiled and computed ones stay UNKNOWN."""

    def __init__(self, exports: Exports, environment: Environment | None) -> None:
        self._exports = exports
        self._sources = exports.sources
        self._environment = environment
        self._modules: dict[str, Truth] = {}
        self._answers: dict[tuple[str, str], Offer] = {}
        self._stored: dict[str, frozenset[str]] = {}

    def has_module(self, name: str) -> Truth:
        """Whether an import of the dotted name finds it; NO only where nothing else could bring it."""
        if name not in self._modules:
            self._modules[name] = self._look(name)
        return self._modules[name]

    def offer(self, module: str, name: str) -> Offer:
        """What ``from module import name`` finds; the module itself is taken to be there."""
        key = (module, name)
        if key not in self._answers:
            self._answers[key] = Offer.UNKNOWN  # what a circle of star imports is left with
            self._answers[key] = self._ask(module, name)
        return self._answers[key]

    def beside_getattr(self, module: str, name: str) -> Offer:
        """The same for who has read the module's ``__getattr__`` and found that it does not make the name."""
        return self._ask(module, name, getattr_is_read=True)

    def _look(self, name: str) -> Truth:
        top, _, rest = name.partition(".")
        if top in sys.stdlib_module_names:
            return Truth.YES
        there = self._sources.has_module(name)
        if there is not Truth.NO:
            return there
        if not rest:
            return Truth.of(self._lies_loose(name))
        parent = name.rpartition(".")[0]
        if self._could_register(parent, name):
            return Truth.UNKNOWN
        return Truth.of(self._lies_in_another_portion(name))

    def _could_register(self, module: str, wanted: str) -> bool:
        """Whether a module or a package around it could put what is wanted below itself, made by its own code."""
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            part = ".".join(parts[:length])
            text = self._sources.text(part)
            tree = self._sources.tree(parts[0])
            if text is None and (tree is None or has_extension(tree, part, self._sources.python)):
                return True
            if text is not None and (b"__path__" in text or _registers(text, wanted)):
                return True
        return False

    def _lies_loose(self, top: str) -> bool:
        """A compiled module that no list of files names."""
        return any(
            each.name.startswith(f"{top}.") and each.suffix in (".so", ".pyd")
            for site in self._site_paths
            for each in site.glob(f"{top}.*")
        )

    def _lies_in_another_portion(self, name: str) -> bool:
        """A namespace package is spread over every folder that has one of its name."""
        top = name.partition(".")[0]
        if self._sources.text(top) is not None:
            return False
        path = name.replace(".", "/")
        for site in self._site_paths:
            tree = FolderTree(site / top, top)
            if tree.has(path) or tree.has(f"{path}.py") or has_extension(tree, name, self._sources.python):
                return True
        return False

    @property
    def _site_paths(self) -> list[Path]:
        return [Path(each) for each in self._environment.site_paths] if self._environment else []

    def _ask(self, module: str, name: str, *, getattr_is_read: bool = False) -> Offer:
        if module.partition(".")[0] in sys.stdlib_module_names:
            return Offer.UNKNOWN
        parsed = self._sources.module(module)
        inner = f"{module}.{name}"
        if parsed is None:
            return self._of_opaque(module, inner)
        bindings = (each for each in parsed.by_name.get(name, ()) if not _is_submodule_import(each, parsed, name))
        if any(self._can_run(binding, parsed) for binding in bindings):
            return Offer.ATTRIBUTE
        if parsed.is_package and (there := self._sources.has_module(inner)) is not Truth.NO:
            return Offer.SUBMODULE if there is Truth.YES else Offer.UNKNOWN
        if "__getattr__" in parsed.by_name and not getattr_is_read:
            return Offer.UNKNOWN
        if _COMPUTED.search(parsed.source) or name in self._names_stored(parsed):
            return Offer.UNKNOWN
        if name.startswith("__") or re.search(rb"\bglobal\b[^\n]*\b%s\b" % re.escape(name).encode(), parsed.source):
            return Offer.UNKNOWN
        return self._of_stars(parsed, name)

    def _of_opaque(self, module: str, inner: str) -> Offer:
        """A compiled module, one that cannot be parsed, or a folder without ``__init__``."""
        tree = self._sources.tree(module.partition(".")[0])
        if self._sources.text(module) is not None or tree is None or has_extension(tree, module, self._sources.python):
            return Offer.UNKNOWN
        there = self.has_module(inner)
        return {Truth.YES: Offer.SUBMODULE, Truth.NO: Offer.NOTHING}.get(there, Offer.UNKNOWN)

    def _of_stars(self, parsed: ParsedModule, name: str) -> Offer:
        for binding in parsed.by_name.get("*", ()):
            statement = binding.statement
            if not isinstance(statement, ast.ImportFrom) or not self._can_run(binding, parsed):
                continue
            target = parsed.absolute(statement)
            source = self._sources.module(target) if target else None
            listed = listed_names(source) if source is not None else None
            if target is None or (listed is not None and name not in listed):
                continue
            found = self.offer(target, name)
            if found is not Offer.NOTHING:
                return Offer.ATTRIBUTE if found is Offer.ATTRIBUTE else Offer.UNKNOWN
        return Offer.NOTHING

    def _can_run(self, binding: Binding, parsed: ParsedModule) -> bool:
        return every(self._exports.conditions.judge(each, parsed) for each in binding.guards) is not Truth.NO

    def _names_stored(self, parsed: ParsedModule) -> frozenset[str]:
        """Names that loops, ``with ... as`` and the like may bind."""
        if parsed.name not in self._stored:
            nodes = tuple(_outside_of_classes(parsed.tree))
            self._stored[parsed.name] = frozenset(
                node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ) | frozenset(
                node.name for node in nodes if isinstance(node, (ast.MatchAs, ast.ExceptHandler)) and node.name
            )
        return self._stored[parsed.name]


def _outside_of_classes(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but for those in class bodies, whose names are no names of the module."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def listed_names(parsed: ParsedModule) -> tuple[str, ...] | None:
    """The names in ``__all__`` where it is one plain list; None where it isn't, or is changed later."""
    values = [binding.value for binding in parsed.by_name.get("__all__", ())]
    if len(values) != 1 or not isinstance(values[0], (ast.List, ast.Tuple)) or _CHANGED_ALL.search(parsed.source):
        return None
    names = [each.value if isinstance(each, ast.Constant) else None for each in values[0].elts]
    return tuple(name for name in names if isinstance(name, str)) if all(names) else None


def _is_submodule_import(binding: Binding, parsed: ParsedModule, name: str) -> bool:
    """``from . import name`` in the package itself, which binds what it has to find below the package."""
    statement, alias = binding.statement, binding.alias
    return (
        parsed.is_package
        and isinstance(statement, ast.ImportFrom)
        and alias is not None
        and alias.name == name
        and parsed.absolute(statement) == parsed.name
    )


def _registers(text: bytes, wanted: str) -> bool:
    """Whether a module's text could put a module into ``sys.modules``: under a name that it computes, or this one."""
    others = _OWN_ENTRY.sub(b"", re.sub(rb"#[^\n]*", b"", text))
    literal = [key.decode() for key in _LITERAL_ENTRY.findall(others)]
    if len(literal) < others.count(b"sys.modules"):
        return True
    return any(wanted == key or wanted.startswith(f"{key}.") for key in literal)
