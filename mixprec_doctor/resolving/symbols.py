"""Symbols: every module of a release in which a name is defined, and every one it can be imported from."""

from __future__ import annotations

__all__ = ["find_definitions", "nearest_names", "search_symbol"]

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

from mixprec_doctor.records.resolution import Definition, How, Importable, SymbolResolution
from mixprec_doctor.resolving.layout import Layout
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Exports, Found, Origin, Standin, Unbound
from mixprec_doctor.source.tree import Tree

_DEFINES = r"(?m)^[ \t]*(?:class|(?:async[ \t]+)?def)[ \t]+%s\b|^[ \t]*%s[ \t]*(?::[^\n=]*)?="
_DECLARED = re.compile(rb"(?m)^(?:class|(?:async )?def) ([A-Za-z_]\w*)")


def search_symbol(exports: Exports, layout: Layout, symbol: str, *, thorough: bool = True) -> SymbolResolution:
    """Where a symbol is defined and importable.

    Looked for among the layout's scope and the engine's ``__init__`` files, and where these import it from; when
    they know no such name, in their namesakes all over the package, or in a thorough search in all of it.
    """
    tree = exports.sources.tree(layout.engine)
    if tree is None or not symbol.isidentifier():
        return SymbolResolution(symbol=symbol)
    scoped = scoped_paths(tree, layout)
    defined = {found.module: found for found in find_definitions(exports, tree, symbol, scoped)}
    importable: dict[str, Importable] = {}
    imported: dict[str, Found] = {}
    reexported: dict[str, Found] = {}
    inside = {module_of(path)[0] for path in scoped}
    for module, origin in _importable(exports, tree, symbol, layout, scoped):
        how = _how(origin)
        if how is not None:
            importable[module] = Importable(module=module, how=how, condition=getattr(origin, "condition", None))
        if isinstance(origin, Found) and _defines(origin, symbol, layout):
            (imported if module in inside else reexported).setdefault(origin.module, origin)
    if not defined:  # it has moved out of the usual places, from where its users import it now
        defined = imported or reexported
    if not defined and not importable:
        further = tree.walk(tree.package) if thorough else namesake_paths(tree, layout)
        defined = {found.module: found for found in find_elsewhere(exports, tree, symbol, layout, further)}
    for module in defined:
        importable.setdefault(module, Importable(module=module, how=How.DEFINITION))
    return SymbolResolution(
        symbol=symbol,
        defined=tuple(
            Definition(module=module, parameters=parameters_of(found, exports), doubt=doubt_about(found, exports))
            for module, found in sorted(defined.items())
        ),
        importable=tuple(importable[module] for module in sorted(importable)),
        nearest=() if defined or importable else nearest_names(tree, symbol, scoped),
    )


def find_definitions(exports: Exports, tree: Tree, symbol: str, paths: Iterable[str]) -> Iterator[Found]:
    """Top-level definitions of the symbol in some files: classes, functions, values that are no alias."""
    name, plain = re.escape(symbol), symbol.encode()  # plain search first: it is forty times as quick
    defines = re.compile((_DEFINES % (name, name)).encode())
    for path in paths:
        source = tree.read(path)
        if source is None or plain not in source or not defines.search(source):
            continue
        module, _ = module_of(path)
        found = exports.look_up(module, symbol)
        if isinstance(found, Found) and found.module == module and found.node is not None:
            yield found


def find_elsewhere(
    exports: Exports, tree: Tree, symbol: str, layout: Layout, paths: Sequence[str] | None = None
) -> list[Found]:
    """Definitions anywhere in the package, or in some files: those of the serving engine proper, else any."""
    paths = tree.walk(tree.package) if paths is None else paths
    tree.prefetch(paths)
    found = list(find_definitions(exports, tree, symbol, paths))
    return [each for each in found if within(each.module, layout.core)] or found


def scoped_paths(tree: Tree, layout: Layout) -> tuple[str, ...]:
    """The files of the layout's scope; only their folders are walked."""
    paths: dict[str, None] = {}
    for root in layout.scope:
        folder = root.replace(".", "/")
        paths |= dict.fromkeys([f"{folder}.py"] if tree.has(f"{folder}.py") else [])
        paths |= dict.fromkeys(tree.walk(folder) if tree.has(folder) else [])
    return tuple(sorted(paths))


def namesake_paths(tree: Tree, layout: Layout) -> tuple[str, ...]:
    """Every ``__init__``, and what is called like a part of the layout's scope, wherever in the package it lies."""
    parts = {root.rpartition(".")[2] for root in layout.scope}
    return tuple(
        path
        for path in tree.walk(tree.package)
        if path.endswith("/__init__.py") or not parts.isdisjoint(path.removesuffix(".py").split("/")[1:])
    )


def package_paths(tree: Tree, layout: Layout) -> tuple[str, ...]:
    """The ``__init__`` files of the serving engine proper and of the packages right below the top."""
    return tuple(
        path
        for path in tree.walk(tree.package)
        if path.endswith("/__init__.py") and (path.count("/") < 2 or within(module_of(path)[0], layout.core))
    )


def nearest_names(tree: Tree, symbol: str, paths: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Classes and functions of some files whose names are likest, as ``module.name``."""
    declared: dict[str, str] = {}
    for path in paths:
        for name in _DECLARED.findall(tree.read(path) or b""):
            declared.setdefault(name.decode(), module_of(path)[0])
    close = difflib.get_close_matches(symbol, declared, n=count, cutoff=0.6)
    return tuple(f"{declared[name]}.{name}" for name in close)


def module_of(path: str) -> tuple[str, bool]:
    """The dotted name of a file of a tree, and whether it is a package's ``__init__``."""
    base = path.removesuffix(".py")
    return base.removesuffix("/__init__").replace("/", "."), base.endswith("/__init__")


def within(module: str, roots: Sequence[str]) -> bool:
    """Whether a module is one of some packages or lies below one."""
    return any(module == root or module.startswith(f"{root}.") for root in roots)


def _importable(
    exports: Exports, tree: Tree, symbol: str, layout: Layout, scoped: Sequence[str]
) -> Iterator[tuple[str, Origin]]:
    plain = symbol.encode()
    whole = re.compile(rb"\b%s\b" % re.escape(plain))
    for path in dict.fromkeys([*scoped, *package_paths(tree, layout)]):
        source = tree.read(path)
        if source is None or not (plain in source or b"import *" in source):
            continue
        if b"import *" not in source and not whole.search(source):
            continue
        module, _ = module_of(path)
        yield module, exports.look_up(module, symbol)


def _defines(origin: Found, symbol: str, layout: Layout) -> bool:
    """Whether an import leads to a definition of that very name in the engine's own package."""
    return origin.node is not None and origin.name == symbol and within(origin.module, (layout.engine,))


def _how(origin: Origin) -> How | None:
    if isinstance(origin, Unbound) or (isinstance(origin, Found) and origin.node is None):
        return None
    if isinstance(origin, Standin):
        return How.PLACEHOLDER
    return origin.how
