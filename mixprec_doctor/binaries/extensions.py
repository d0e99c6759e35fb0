"""Extensions: whether compiled modules of an environment would load into its interpreter, once torch is imported."""

from __future__ import annotations

__all__ = ["extension_faults", "load_faults", "torch_faults"]

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mixprec_doctor.binaries.library import FaultKind, Library, LoadFault
from mixprec_doctor.binaries.linking import Process, load
from mixprec_doctor.binaries.loadercache import read_loader_cache
from mixprec_doctor.binaries.reading import read_library, symbol_table
from mixprec_doctor.binaries.search import SearchPlaces, default_folders
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Environment

_MACHINES = {"x86_64": (62, 64), "amd64": (62, 64), "aarch64": (183, 64), "i686": (3, 32), "ppc64le": (21, 64)}
_FIRST_OF_TORCH = "libtorch_global_deps.so"  # opened by torch/__init__.py, visible to all


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """An interpreter before and after ``import torch``."""

    plain: Process
    torch: Process | None
    torch_names: frozenset[str]  # files in torch/lib
    torch_faults: tuple[LoadFault, ...]


def extension_faults(path: Path, environment: Environment) -> tuple[LoadFault, ...]:
    """Why the interpreter of an environment certainly cannot load a compiled file; empty when it could, or perhaps.

    A library that needs one of torch is judged as if torch had been imported before, as every package does that
    has one. What the package itself could mend, by opening another library of the environment beforehand, is left
    out. Files of other systems than Linux are not read.
    """
    return tuple(fault for fault in load_faults(path, environment) if fault.is_certain)


def load_faults(path: Path, environment: Environment) -> tuple[LoadFault, ...]:
    """What the loader would say if a file were opened with nothing but the interpreter, and torch where it needs it."""
    if _scene_of(environment) is None or not path.name.partition(".so")[1]:
        return ()
    return _faults(path, _key(environment))


def torch_faults(environment: Environment) -> tuple[LoadFault, ...]:
    """Why ``import torch`` certainly could not load torch's own libraries."""
    scene = _scene_of(environment)
    return scene.torch_faults if scene is not None else ()


@lru_cache(maxsize=4096)
def _faults(path: Path, key: tuple[str | None, ...]) -> tuple[LoadFault, ...]:
    scene = _scenes[key]
    if scene is None:
        return ()
    library = read_library(path)
    if scene.torch is None or not isinstance(library, Library):
        return load(path, scene.plain).faults
    if scene.torch_names.isdisjoint(library.needed):
        found = load(path, scene.plain).faults
        if not any(fault.wanted in scene.torch_names for fault in found):
            return tuple(_with_torch(fault, scene.torch) for fault in found)
    return scene.torch_faults or load(path, scene.torch).faults


def _with_torch(fault: LoadFault, torch: Process) -> LoadFault:
    """A symbol that torch has is missing only as long as nobody makes torch's symbols visible to all."""
    if fault.kind is FaultKind.NO_SYMBOL:
        for path in dict.fromkeys(each.library.path for each in torch.loaded.values()):
            if (table := symbol_table(path)) is not None and table.defines(fault.wanted):
                return replace(fault, elsewhere=path)
    return fault


_scenes: dict[tuple[str | None, ...], _Scene | None] = {}


def _key(environment: Environment) -> tuple[str | None, ...]:
    return (environment.interpreter.executable, *environment.site_paths)


def _scene_of(environment: Environment) -> _Scene | None:
    key = _key(environment)
    if key not in _scenes:
        _scenes[key] = _scene(environment)
    return _scenes[key]


def _scene(environment: Environment) -> _Scene | None:
    system = environment.interpreter.markers.get("sys_platform", sys.platform)
    plain = _interpreter(environment) if system == "linux" else None
    if plain is None:
        return None
    place = locate_package(environment, "torch")
    folder = place / "lib" if place is not None else None
    names = _files(folder) if folder is not None else {}
    if place is None or folder is None or _FIRST_OF_TORCH not in names:
        return _Scene(plain=plain, torch=None, torch_names=frozenset(), torch_faults=())
    first = load(folder / _FIRST_OF_TORCH, plain, shared=True, trusted=folder)
    module = next((place / name for name in _files(place) if name.startswith("_C.") and name.endswith(".so")), None)
    if module is None:
        return _Scene(plain=plain, torch=None, torch_names=frozenset(), torch_faults=())
    second = load(module, first.process, trusted=folder)
    faults = tuple(fault for fault in (*first.faults, *second.faults) if fault.is_certain)
    return _Scene(plain=plain, torch=second.process, torch_names=frozenset(names), torch_faults=faults)


def _interpreter(environment: Environment) -> Process | None:
    """The process of the bare interpreter; without its file, that of any Python on this machine. None with musl."""
    executable = environment.interpreter.executable
    program = read_library(Path(os.path.realpath(executable))) if executable else None
    if isinstance(program, Library):
        machine, bits = program.machine, program.bits
    else:
        program = None
        named = environment.interpreter.markers.get("platform_machine", platform.machine())
        machine, bits = _MACHINES.get(named.lower(), (0, 0))
    if not machine or (program and any("musl" in name for name in program.needed)):
        return None
    path = os.environ.get("LD_LIBRARY_PATH", "")
    places = SearchPlaces(
        path=tuple(Path(folder or ".").absolute() for folder in path.split(":")) if path else (),
        cache=read_loader_cache(),
        folders=default_folders(machine, bits),
    )
    bare = Process(places=places, machine=machine, bits=bits, program=program, brought=_listed(environment))
    if program is None:
        return bare
    return load(program.path, bare, shared=True, trusted=program.path.parent).process


def _files(folder: Path) -> Mapping[str, Path]:
    try:
        return {name: folder / name for name in sorted(os.listdir(folder))}  # noqa: PTH208  names are all we want
    except OSError:
        return {}


def _listed(environment: Environment) -> Callable[[str], Path | None]:
    """Finds a library by its name in the file lists of all distributions, read when the first is asked for."""
    lists: list[tuple[str, bytes]] = []

    @lru_cache(maxsize=1024)
    def find(name: str) -> Path | None:
        if not lists:
            for each in environment.distributions:
                record = read_start(Path(each.metadata) / "RECORD", most=LARGEST_LIST) or b""
                if b".so" in record:
                    lists.append((each.location, b"\n" + record))
        for location, record in lists:
            end = record.find(f"/{name},".encode())
            if end >= 0:
                start = record.rfind(b"\n", 0, end) + 1
                path = Path(location, record[start:end].decode("utf-8", errors="replace").lstrip('"'), name)
                if path.is_file():
                    return path
        return None

    return find
