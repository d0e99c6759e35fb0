"""Libraries: why a compiled module of the environment could not be loaded, for rehearsals."""

from __future__ import annotations

__all__ = ["unloadable_in"]

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mixprec_doctor.binaries import extension_faults
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Environment


def unloadable_in(environment: Environment) -> Callable[[str], str | None]:
    """Asks of a module by its dotted name why its file certainly cannot be loaded; None where it could, or perhaps."""

    def unloadable(module: str) -> str | None:
        files = [file for file in _files(module, environment) if _fits(file, environment)]
        faults = [extension_faults(file, environment) for file in files]
        return faults[0][0].text if faults and all(faults) else None

    return unloadable


def _files(module: str, environment: Environment) -> Iterator[Path]:
    top, *below = module.split(".")
    place = locate_package(environment, top)
    folders = [place.joinpath(*below[:-1])] if place is not None and below else [
        Path(each) for each in environment.site_paths
    ]  # fmt: skip
    stem = below[-1] if below else top
    for folder in folders:
        try:
            names = sorted(name for name in os.listdir(folder) if name.startswith(f"{stem}.") and name.endswith("so"))  # noqa: PTH208
        except OSError:
            continue
        yield from (folder / name for name in names)


def _fits(file: Path, environment: Environment) -> bool:
    """Whether the interpreter would take the file for the module, by the tag in its name."""
    tag = file.name.split(".")[1:-1]
    version = "".join((environment.interpreter.version or "").split(".")[:2])
    return not tag or tag[0] == "abi3" or tag[0].startswith(f"cpython-{version}-")
