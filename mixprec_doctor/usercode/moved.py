"""Moved: where a module or name that code asks for stands in the installed release instead."""

from __future__ import annotations

__all__ = ["homes_of_module", "homes_of_name", "names_like"]

import difflib
from collections.abc import Iterable

from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.resolving.symbols import find_definitions, module_of
from mixprec_doctor.source.exports import Exports, Unbound

_MOST = 5
_ALIKE = 0.85


def homes_of_module(module: str, names: tuple[str, ...], exports: Exports) -> tuple[str, ...]:
    """Modules of the package with the same last name that have all the names wanted of it."""
    package, _, last = module.rpartition(".")
    tree = exports.sources.tree(package.partition(".")[0]) if package else None
    if tree is None:
        return ()
    found = (
        module_of(path)[0] for path in tree.walk(tree.package) if path.endswith((f"/{last}.py", f"/{last}/__init__.py"))
    )
    fitting = [each for each in found if all(not isinstance(exports.look_up(each, name), Unbound) for name in names)]
    return _nearest_first(fitting, module)[:_MOST]


def homes_of_name(name: str, module: str, exports: Exports) -> tuple[str, ...]:
    """Modules of a module's package that define a name, nearest first; of an engine's serving part if any is there."""
    package = module.partition(".")[0]
    tree = exports.sources.tree(package)
    if tree is None:
        return ()
    found = [each.module for each in find_definitions(exports, tree, name, tree.walk(tree.package))]
    core = next((layout.core for layout in LAYOUTS if layout.engine == package), (package,))
    inside = [each for each in found if any(each == root or each.startswith(f"{root}.") for root in core)]
    return _nearest_first(inside or found, module)[:_MOST]


def names_like(name: str, module: str, exports: Exports) -> tuple[str, ...]:
    """Names that a module binds and that differ from one in a letter or two."""
    parsed = exports.sources.module(module)
    if parsed is None:
        return ()
    near = difflib.get_close_matches(name, list(parsed.by_name), n=3, cutoff=_ALIKE)
    return tuple(each for each in near if not isinstance(exports.look_up(module, each), Unbound))


def _nearest_first(found: Iterable[str], wanted: str) -> tuple[str, ...]:
    """By how many leading parts they share with what was wanted."""
    parts = wanted.split(".")

    def apart(module: str) -> int:
        shared = 0
        for one, other in zip(parts, module.split("."), strict=False):
            if one != other:
                break
            shared += 1
        return -shared

    return tuple(sorted(found, key=lambda each: (apart(each), each.count("."), each)))
