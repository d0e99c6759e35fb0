"""Subtree: the files that mixprec has at hand for its questions, copied out of an engine for the peer to load."""

from __future__ import annotations

__all__ = ["Subtree", "copy_installed", "copy_release"]

from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.index import find_releases, open_release
from mixprec_doctor.resolving.layout import LAYOUTS, Layout, find_layout
from mixprec_doctor.resolving.symbols import package_paths, scoped_paths
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import Tree


@dataclass(frozen=True, kw_only=True)
class Subtree:
    """Files of one engine below a folder."""

    folder: Path
    package: str
    files: int
    size: int  # bytes


def copy_installed(python: Path, folder: Path) -> Subtree:
    """Of the engine that is installed for an interpreter."""
    environment = read_environment(Target(python=python))
    known = [layout.engine for layout in LAYOUTS]
    engine = next(each.engine for each in find_engines(environment) if each.engine in known and each.root)
    return _copy(Sources.of_environment(environment).tree(engine), find_layout(engine), folder)


def copy_release(requirement: str, folder: Path) -> Subtree:
    """Of a release on the index that pip is set up for."""
    (release,) = find_releases(requirement)
    wheel = open_release(release)
    try:
        layout = next(layout for layout in LAYOUTS if layout.engine in wheel.packages)
        tree = wheel.tree(layout.engine)
        if tree is not None:
            tree.prefetch([*scoped_paths(tree, layout), *package_paths(tree, layout)])
        return _copy(tree, layout, folder)
    finally:
        wheel.close()


def _copy(tree: Tree | None, layout: Layout, folder: Path) -> Subtree:
    assert tree is not None  # noqa: S101  the callers found the engine
    size = 0
    paths = dict.fromkeys([*scoped_paths(tree, layout), *package_paths(tree, layout)])
    for path in paths:
        source = tree.read(path) or b""
        size += len(source)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(source)
    for path in paths:  # the peer sees no packages below a folder without one
        for parent in list(Path(path).parents)[:-1]:
            (folder / parent / "__init__.py").touch()
    return Subtree(folder=folder, package=layout.engine, files=len(paths), size=size)
