"""Extensions: whether compiled modules of an environment would load into its interpreter, once torch is imported."""

from __future__ import annotations

__all__ = ["extension_faults", "load_faults", "remember", "torch_faults"]

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from mixprec_doctor.binaries.library import FaultKind, Library, LoadFault
from mixprec_doctor.binaries.linking import Process, load
from mixprec_doctor.binaries.loadercache import LOADER_CACHE, read_loader_cache
from mixprec_doctor.binaries.proofs import Proofs
from mixprec_doctor.binaries.reading import read_library, symbol_table
from mixprec_doctor.binaries.search import SearchPlaces, default_folders
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Environment

_MACHINES = {"x86_64": (62, 64), "amd64": (62, 64), "aarch64": (183, 64), "i686": (3, 32), "ppc64le": (21, 64)}
_TORCH = "torch"
_MODULE = re.compile(r"_C\..*so")
_OF_TORCH = re.compile(r"lib(?:torch|c10)\w*\.so")
_FIRST_OF_TORCH = "libtorch_global_deps.so"  # opened by torch/__init__.py, visible to all


def extension_faults(path: Path, environment: Environment) -> tuple[LoadFault, ...]:
    """Why the interpreter of an environment certainly cannot load a compiled file; empty when it could, or perhaps.

    A library that needs one of torch is judged as if torch had been imported before, as every package does that
    has one. What the package itself could mend, by opening another library of the environment beforehand, is left
    out. Files of other systems than Linux are not read.
    """
    return tuple(fault for fault in load_faults(path, environment) if fault.is_certain)


def load_faults(path: Path, environment: Environment) -> tuple[LoadFault, ...]:
    """What the loader would say if a file were opened with nothing but the interpreter, and torch where it needs it."""
    scene = _scene_of(environment)
    return scene.faults(path) if scene is not None and ".so" in path.name else ()


def torch_faults(environment: Environment) -> tuple[LoadFault, ...]:
    """Why ``import torch`` certainly could not load torch's own libraries."""
    scene = _scene_of(environment)
    return scene.torch_faults() if scene is not None else ()


def remember(environment: Environment) -> None:
    """Keep for the next time what was found to load, so that it need not be read again."""
    if (scene := _scene_of(environment)) is not None:
        scene.proofs.save()


class _Scene:
    """An interpreter before and after ``import torch``, and what is known to load there."""

    def __init__(self, environment: Environment, plain: Process) -> None:
        self._plain = plain
        self._found: dict[Path, tuple[LoadFault, ...]] = {}
        place = locate_package(environment, "torch")
        names = _files(place / "lib") if place is not None else {}
        self._torch = place if _FIRST_OF_TORCH in names else None
        self._torch_names = frozenset(names) if self._torch is not None else frozenset()
        self.proofs = Proofs([*_key(environment), os.environ.get("LD_LIBRARY_PATH", ""), *_stamps(plain)])

    def faults(self, path: Path) -> tuple[LoadFault, ...]:
        """What the loader would say; asked of each file once."""
        if path not in self._found:
            self._found[path] = self._judge(path)
        return self._found[path]

    def torch_faults(self) -> tuple[LoadFault, ...]:
        """What certainly keeps torch's own libraries from loading."""
        if self._torch is None or self.proofs.holds(_TORCH):
            return ()
        return self._with_torch[1]

    def _judge(self, path: Path) -> tuple[LoadFault, ...]:
        by_torch = f"{_TORCH} {path}"
        if self.proofs.holds(str(path)) or (self.proofs.holds(by_torch) and self.proofs.holds(_TORCH)):
            return ()
        library = read_library(path)
        if not isinstance(library, Library) or not any(map(self._is_of_torch, library.needed)):
            plain = load(path, self._plain)
            if not plain.faults:
                self.proofs.keep(str(path), plain.added)
            if not any(self._is_of_torch(fault.wanted) for fault in plain.faults):
                return tuple(self._told_of_torch(fault) for fault in plain.faults)
        process, faults = self._with_torch
        if faults:
            return faults
        loading = load(path, process)
        if not loading.faults:
            self.proofs.keep(by_torch, loading.added)
        return loading.faults

    def _is_of_torch(self, name: str) -> bool:
        """Whether torch brings a library, or would if it were whole."""
        return name in self._torch_names or (self._torch is not None and _OF_TORCH.fullmatch(name) is not None)

    @cached_property
    def _with_torch(self) -> tuple[Process, tuple[LoadFault, ...]]:
        """The process after ``import torch``, and what certainly goes wrong on the way."""
        if self._torch is None:
            return self._plain, ()
        folder = self._torch / "lib"
        first = load(folder / _FIRST_OF_TORCH, self._plain, shared=True, trusted=folder)
        module = next((path for name, path in _files(self._torch).items() if _MODULE.fullmatch(name)), None)
        if module is None:
            return self._plain, ()
        second = load(module, first.process, trusted=folder)
        faults = tuple(fault for fault in (*first.faults, *second.faults) if fault.is_certain)
        if not first.faults and not second.faults:
            self.proofs.keep(_TORCH, (*first.added, *second.added))
        return second.process, faults

    def _told_of_torch(self, fault: LoadFault) -> LoadFault:
        """A symbol that torch has is missing only as long as nobody makes torch's symbols visible to all."""
        if fault.kind is FaultKind.NO_SYMBOL and self._torch is not None:
            for path in dict.fromkeys(each.library.path for each in self._with_torch[0].loaded.values()):
                if (table := symbol_table(path)) is not None and table.defines(fault.wanted):
                    return replace(fault, elsewhere=path)
        return fault


_scenes: dict[tuple[str, ...], _Scene | None] = {}


def _key(environment: Environment) -> tuple[str, ...]:
    return (environment.interpreter.executable or "", *environment.site_paths)


def _scene_of(environment: Environment) -> _Scene | None:
    key = _key(environment)
    if key not in _scenes:
        system = environment.interpreter.markers.get("sys_platform", sys.platform)
        plain = _interpreter(environment) if system == "linux" else None
        _scenes[key] = _Scene(environment, plain) if plain is not None else None
    return _scenes[key]


def _stamps(plain: Process) -> Iterator[str]:
    """Whatever changes when the interpreter or the system's libraries are others."""
    for path in (plain.program.path if plain.program else Path("/nowhere"), LOADER_CACHE):
        try:
            facts = path.stat()
            yield f"{path} {facts.st_size} {facts.st_mtime_ns}"
        except OSError:
            yield f"{path} -"


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
