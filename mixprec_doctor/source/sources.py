"""Sources: the trees of one environment, and what an import could find there."""

from __future__ import annotations

__all__ = ["Sources"]

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.source.module import ParsedModule, UnparsableModule, parse_module
from mixprec_doctor.source.tree import FolderTree, Tree, has_extension, module_files
from mixprec_doctor.source.truth import Truth

_SIMPLE_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def _local(package: str, folders: Iterable[Path]) -> Path | None:
    """A module or package of that name in one of some folders."""
    for folder in folders:
        if (folder / package / "__init__.py").is_file():
            return folder / package
        if (folder / f"{package}.py").is_file():
            return folder / f"{package}.py"
    return None


class Sources:
    """Finds the tree of any import package, and parses each module at most once.

    ``find`` gives the tree of a top-level package or None. ``known`` names the top-level modules without a
    tree that are there all the same (compiled ones), and says that nothing else is, as in an installed
    environment. Without it, as for a release read alone, what stands beside the trees is not known.
    """

    def __init__(
        self,
        find: Callable[[str], Tree | None],
        *,
        known: frozenset[str] | None = None,
        python: tuple[int, ...] | None = None,
        platform: str | None = None,
    ) -> None:
        self._find = find
        self._known = known
        self._trees: dict[str, Tree | None] = {}
        self._texts: dict[str, tuple[bytes, bool] | None] = {}
        self._modules: dict[str, ParsedModule | None] = {}
        self.python = python
        self.platform = platform
        self.is_local: Callable[[str], bool] = lambda package: False  # whether a package lies beside the environment
        self.facts: Mapping[str, object] | None = None  # values of calls such as ``torch.cuda.is_available()``
        self.faults: dict[str, str] = {}  # modules that could not be parsed

    @classmethod
    def of_environment(cls, environment: Environment, *, beside: Iterable[Path] = ()) -> Sources:
        """The trees of an installed environment, then those of some folders beside it."""
        folders = tuple(beside)

        def find(package: str) -> Tree | None:
            place = locate_package(environment, package) or _local(package, folders)
            return FolderTree(place, package) if place is not None else None

        version = _SIMPLE_VERSION.match(environment.interpreter.version or "")
        found = cls(
            find,
            known=frozenset(name for each in environment.distributions for name in each.packages),
            python=tuple(int(part) for part in version.groups() if part) if version else None,
            platform=environment.interpreter.markers.get("sys_platform"),
        )
        found.is_local = lambda package: (
            locate_package(environment, package) is None and _local(package, folders) is not None
        )
        return found

    @classmethod
    def of_trees(cls, trees: Mapping[str, Tree]) -> Sources:
        """Some trees alone, nothing known of what would stand beside them."""
        return cls(trees.get)

    @classmethod
    def of_folder(cls, folder: Path) -> Sources:
        """The packages of one folder, e.g. of an unpacked wheel."""

        def find(package: str) -> Tree | None:
            place = folder / package
            return FolderTree(place, package) if place.is_dir() else None

        return cls(find)

    def tree(self, package: str) -> Tree | None:
        """The tree of a top-level package."""
        if package not in self._trees:
            self._trees[package] = self._find(package)
        return self._trees[package]

    def module(self, name: str) -> ParsedModule | None:
        """The parsed module; None when it is not there as source, or not parsable (see ``faults``)."""
        if name not in self._modules:
            self._modules[name] = self._parse(name)
        return self._modules[name]

    def adopt(self, parsed: ParsedModule) -> None:
        """Take a module that lies in no tree: names of it are then followed like any other's."""
        self._modules[parsed.name] = parsed

    def has_module(self, name: str) -> Truth:
        """Whether the module is there: as source, compiled, as a namespace folder, or in the library."""
        top = name.partition(".")[0]
        tree = self.tree(top)
        if tree is None:
            if top in sys.stdlib_module_names:
                return Truth.YES
            return Truth.UNKNOWN if self._known is None else Truth.of(top in self._known)
        if any(tree.has(path) for path in module_files(name)) or has_extension(tree, name, self.python):
            return Truth.YES
        return Truth.of(tree.has(name.replace(".", "/")) and bool(tree.list(name.replace(".", "/"))))

    def text(self, name: str) -> bytes | None:
        """The source of a module, unparsed; None when there is none."""
        if name not in self._texts:
            self._texts[name] = self._read(name)
        found = self._texts[name]
        return found[0] if found else None

    def _read(self, name: str) -> tuple[bytes, bool] | None:
        tree = self.tree(name.partition(".")[0])
        if tree is None:
            return None
        for path, is_package in zip(module_files(name), (True, False), strict=True):
            if tree.has(path) and (source := tree.read(path)) is not None:
                return source, is_package
        return None

    def _parse(self, name: str) -> ParsedModule | None:
        self.text(name)
        if (found := self._texts[name]) is None:
            return None
        try:
            return parse_module(name, found[0], is_package=found[1])
        except UnparsableModule as fault:
            self.faults[name] = fault.fault
            return None
