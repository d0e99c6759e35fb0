"""Project: code of 10,000 lines that builds on an engine, made of the engine's own modules, for `mixprec check`."""

from __future__ import annotations

__all__ = ["Project", "copy_project"]

from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.index import find_releases, open_release

PARTS = ("vllm/model_executor/layers/quantization", "vllm/model_executor/layers")
_MOST_FILES = 120


@dataclass(frozen=True, kw_only=True)
class Project:
    """Files below a folder, in one package that is not the engine's."""

    folder: Path
    files: int
    lines: int


def copy_project(requirement: str, folder: Path, *, lines: int = 10_000) -> Project:
    """Modules of a release, under other names, until there are so many lines."""
    (release,) = find_releases(requirement)
    wheel = open_release(release)
    try:
        tree = wheel.tree("vllm")
        assert tree is not None  # noqa: S101  the caller names a release of vllm
        names = list(dict.fromkeys(path for part in PARTS for path in tree.walk(part)))
        tree.prefetch(names[:_MOST_FILES])
        count = files = 0
        for path in names[:_MOST_FILES]:
            source = tree.read(path)
            if not source or count >= lines:
                continue
            file = folder / "plugin" / path.removeprefix("vllm/model_executor/layers/").replace("/", "_")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
            count += source.count(b"\n")
            files += 1
        return Project(folder=folder, files=files, lines=count)
    finally:
        wheel.close()
