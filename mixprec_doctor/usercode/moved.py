"""Moved: where a module or name that code asks for stands in the installed release instead."""

from __future__ import annotations

__all__ = ["homes_of_module", "homes_of_name"]

from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.resolving.symbols import find_definitions, module_of
from mixprec_doctor.source.exports import Exports, Unbound

_MOST = 5


def homes_of_module(module: str, names: tuple[str, ...], exports: Exports) -> tuple[str, ...]:
    """Modules of the package with the same last name; those that have all the names wanted of it come first."""
    package, _, last = module.rpartition(".")
    tree = exports.sources.tree(package.partition(".")[0]) if package else None
    if tree is None:
        return ()
    found = [
        module_of(path)[0] for path in tree.walk(tree.package) if path.endswith((f"/{last}.py", f"/{last}/__init__.py"))
    ]
    fitting = [each for each in found if all(not isinstance(exports.look_up(each, name), Unbound) for name in names)]
    return tuple(_nearest_first(fitting or found, module)[:_MOST])


def homes_of_name(name: str, package: str, exports: Exports) -> tuple[str, ...]:
    """Modules of a package that define a name; those of an engine's serving part come first."""
    tree = exports.sources.tree(package)
    if tree is None:
        return ()
    found = [each.module for each in find_definitions(exports, tree, name, tree.walk(tree.package))]
    core = next((layout.core for layout in LAYOUTS if layout.engine == package), (package,))
    inside = [each for each in found if any(each == root or each.startswith(f"{root}.") for root in core)]
    return tuple((inside or found)[:_MOST])


def _nearest_first(found: list[str], wanted: str) -> list[str]:
    """By how many leading parts they share with what was wanted."""
    parts = wanted.split(".")

    def apart(module: str) -> int:
        shared = 0
        for one, other in zip(parts, module.split("."), strict=False):
            if one != other:
                break
            shared += 1
        return -shared

    return sorted(found, key=lambda each: (apart(each), each.count("."), each))
