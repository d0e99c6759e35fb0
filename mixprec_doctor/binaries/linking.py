"""Linking: whether a library would load into a process, decided from what the files say.

It follows the loader: needed libraries breadth first, each found by name among those that are loaded already or
searched for, then the symbol versions that each wants, then the symbols. Whatever is loaded already was linked before
and is not judged again.
"""

from __future__ import annotations

__all__ = ["Loaded", "Loading", "Process", "load", "would_load"]

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixprec_doctor.binaries import reading
from mixprec_doctor.binaries.library import Library, LoadFault, Unreadable
from mixprec_doctor.binaries.search import SearchPlaces, is_driver_library
from mixprec_doctor.binaries.symbols import SymbolTable
from mixprec_doctor.binaries.words import damaged, foreign, no_library, no_symbol, no_version

_MOST_LIBRARIES = 1000
_MOST_SYMBOL_FAULTS = 20


def _nothing(_name: str) -> Path | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A library in a process, and the one that brought it; None for what was opened by itself."""

    library: Library
    parent: Loaded | None = None

    def chain(self, program: Library | None) -> list[Library]:
        """The library, who loaded it, and so on; the program that runs comes last."""
        found: list[Library] = []
        here: Loaded | None = self
        while here is not None:
            found.append(here.library)
            here = here.parent
        if program is not None and found[-1] is not program:
            found.append(program)
        return found


@dataclass(frozen=True, kw_only=True)
class Process:
    """What is loaded before something else is. A process without a program offers every symbol of Python."""

    places: SearchPlaces
    machine: int
    bits: int
    program: Library | None = None
    loaded: Mapping[str, Loaded] = field(default_factory=dict)  # by name
    shared: tuple[Path, ...] = ()  # libraries whose symbols all others see, in order
    brought: Callable[[str], Path | None] = _nothing  # libraries that packages may open by their path, by name


@dataclass(frozen=True, kw_only=True)
class Loading:
    """What became of loading one library: the faults, and the process after it."""

    faults: tuple[LoadFault, ...]
    process: Process
    added: tuple[Path, ...] = ()  # the files that were not loaded before


def would_load(library: Library, process: Process) -> tuple[LoadFault, ...]:
    """Why a library would not load into a process; empty when it would."""
    return load(library.path, process).faults


def load(path: Path, process: Process, *, shared: bool = False, trusted: Path | None = None) -> Loading:
    """Load a library in thought. ``shared``: its symbols, and those of what it needs, become visible to all others.

    Libraries in the ``trusted`` folder come from one build: their symbols are not looked up one by one.
    """
    library = reading.read_library(path)
    if isinstance(library, Unreadable):
        return Loading(faults=(damaged(library),), process=process)
    present = process.loaded.get(library.name)
    if present is not None and present.library.path == library.path:
        return Loading(faults=(), process=process)
    if (library.machine, library.bits) != (process.machine, process.bits):
        return Loading(faults=(foreign(library, process.machine, process.bits),), process=process)
    order, added, faults = _gather(library, process)
    for each in added:
        faults += _version_faults(each.library, {**process.loaded, **{one.library.name: one for one in added}})
    scope = (*process.shared, *(each.library.path for each in order))
    judged = [each.library for each in added if each.library.path.parent not in (trusted, *process.places.folders)]
    if judged and not faults and (tables := _tables(scope)) is not None:
        for one in judged:  # with a library missing, missing symbols would say nothing
            faults += _symbol_faults(one, tables, process)
    loaded = {**process.loaded}
    for each in added:
        loaded.setdefault(each.library.name, each)
        loaded.setdefault(each.library.path.name, each)
    after = Process(
        places=process.places,
        machine=process.machine,
        bits=process.bits,
        program=process.program,
        loaded=loaded,
        shared=tuple(dict.fromkeys(scope)) if shared else process.shared,
        brought=process.brought,
    )
    return Loading(faults=tuple(faults), process=after, added=tuple(each.library.path for each in added))


def _gather(library: Library, process: Process) -> tuple[list[Loaded], list[Loaded], list[LoadFault]]:
    """The library and all that it needs, breadth first; those of them that are new; what is missing."""
    root = Loaded(library=library)
    order, added = [root], [root]
    known: dict[str, Loaded] = {library.name: root, library.path.name: root}
    faults: list[LoadFault] = []
    missed: set[str] = set()
    seen = {id(root)}
    waiting = deque([root])
    while waiting and len(order) < _MOST_LIBRARIES:
        asker = waiting.popleft()
        for name in asker.library.needed:
            if name in known or name in missed:
                continue
            found = process.loaded.get(name)
            if found is None:
                outcome = _search(name, asker, process)
                if isinstance(outcome, LoadFault):
                    missed.add(name)
                    faults.append(outcome)
                    continue
                twin = known.get(outcome.name) or process.loaded.get(outcome.name)
                same = twin is not None and twin.library.path == outcome.path
                found = twin if twin is not None and same else Loaded(library=outcome, parent=asker)
                if not same:
                    added.append(found)
            known[name] = found
            known.setdefault(found.library.name, found)
            if id(found) not in seen:
                seen.add(id(found))
                order.append(found)
                waiting.append(found)
    return order, added, faults


def _search(name: str, asker: Loaded, process: Process) -> Library | LoadFault:
    """The first file of a name that fits the process; the loader passes over those for other processors."""
    tried: Unreadable | None = None
    for path in process.places.candidates(name, asker.chain(process.program)):
        library = _read_present(path)
        if isinstance(library, Unreadable):
            tried = tried or library
            break
        if library is not None and (library.machine, library.bits) == (process.machine, process.bits):
            return library
    if tried is not None:
        return damaged(tried)
    driver = is_driver_library(name)
    return no_library(asker.library, name, elsewhere=None if driver else process.brought(name), driver=driver)


def _read_present(path: Path) -> Library | Unreadable | None:
    return reading.read_library(path) if path.is_file() else None


def _version_faults(library: Library, loaded: Mapping[str, Loaded]) -> Iterator[LoadFault]:
    for need in library.version_needs:
        provider = loaded.get(need.library)
        if (
            provider is None or not provider.library.versions
        ):  # missing, or without versions, which the loader lets pass
            continue
        for version in need.versions:
            if version not in provider.library.versions:
                yield no_version(library, version, provider.library)


def _symbol_faults(library: Library, scope: list[SymbolTable], process: Process) -> Iterator[LoadFault]:
    count = 0
    for symbol in reading.undefined_symbols(library.path):
        if process.program is None and symbol.startswith(("Py", "_Py")):
            continue
        index = next((place for place, table in enumerate(scope) if table.defines(symbol)), None)
        if index:
            scope.insert(0, scope.pop(index))  # the next symbol is likely to be in the same library
        elif index is None:
            yield no_symbol(library, symbol)
            count += 1
            if count == _MOST_SYMBOL_FAULTS:
                return


def _tables(paths: Iterable[Path]) -> list[SymbolTable] | None:
    """None when one cannot be read: what it offers is not known then, and nothing can be missing for certain."""
    found = [reading.symbol_table(path) for path in paths]
    return [table for table in found if table is not None] if None not in found else None
