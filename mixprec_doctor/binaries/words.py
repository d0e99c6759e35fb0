"""Words for what keeps a library from loading: one line for each fault, with the names a search would be made for."""

from __future__ import annotations

__all__ = ["damaged", "foreign", "no_library", "no_symbol", "no_version", "readable"]

import re
from pathlib import Path

from mixprec_doctor.binaries.library import FaultKind, Library, LoadFault, Unreadable

_PROCESSORS = {
    3: "32-bit x86",
    40: "32-bit ARM",
    62: "x86-64",
    183: "AArch64",
    21: "PowerPC",
    243: "RISC-V",
    22: "s390x",
}
_NUMBERS = re.compile(r"\d+")
_ABBREVIATIONS = {"Sa": "std::allocator", "Sb": "std::basic_string", "Ss": "std::string", "St": "std"}


def damaged(file: Unreadable) -> LoadFault:
    """A file that the loader would refuse for what it is."""
    text = f"{file.path} {file.reason}"
    return LoadFault(kind=FaultKind.DAMAGED, library=file.path, wanted=file.reason, text=text)


def foreign(library: Library, machine: int, bits: int) -> LoadFault:
    """A library for another processor."""
    theirs = _PROCESSORS.get(library.machine, f"machine {library.machine}")
    ours = _PROCESSORS.get(machine, f"machine {machine}")
    if theirs == ours:
        theirs, ours = f"{theirs}, {library.bits} bits", f"{ours}, {bits} bits"
    text = f"{library.path} is made for {theirs}; this Python runs on {ours}"
    return LoadFault(kind=FaultKind.FOREIGN, library=library.path, wanted=ours, text=text, offered=theirs)


def no_library(library: Library, name: str, *, elsewhere: Path | None, driver: bool) -> LoadFault:
    """A needed library that the loader would not find."""
    if driver:
        text = f"{library.path} needs {name}, which comes with the GPU driver"
        return LoadFault(kind=FaultKind.NO_DRIVER, library=library.path, wanted=name, text=text)
    where = f"; {elsewhere} is not where it looks" if elsewhere else ", which is nowhere here"
    text = f"{library.path} needs {name}{where}"
    return LoadFault(kind=FaultKind.NO_LIBRARY, library=library.path, wanted=name, text=text, elsewhere=elsewhere)


def no_version(library: Library, version: str, provider: Library) -> LoadFault:
    """A needed library that is too old."""
    offered = _newest(version, provider)
    ends = f" has up to {offered.rpartition('_')[2]}" if offered else " has no such version"
    return LoadFault(
        kind=FaultKind.NO_VERSION,
        library=library.path,
        wanted=version,
        text=f"{library.path} needs {version}; {provider.path}{ends}",
        provider=provider.path,
        offered=offered,
    )


def no_symbol(library: Library, symbol: str) -> LoadFault:
    """A symbol that none of the libraries has."""
    text = f"{library.path} wants the symbol {readable(symbol)}, which no library here has"
    return LoadFault(kind=FaultKind.NO_SYMBOL, library=library.path, wanted=symbol, text=text)


def readable(symbol: str) -> str:
    """The qualified name in a C++ symbol (Itanium C++ ABI), without its parameters; others as they are.

    Read are plain and nested names, which nearly all functions of torch have.
    """
    found = re.match(r"_ZN?[rVK]*[RO]?(?=\d|St|Sa|Sb|Ss)", symbol)
    if found is None:
        return symbol
    parts: list[str] = []
    at, nested = found.end(), symbol.startswith("_ZN")
    while at < len(symbol):
        if short := _ABBREVIATIONS.get(symbol[at : at + 2]) if not parts else None:
            parts.append(short)
            at += 2
        elif number := _NUMBERS.match(symbol, at):
            end = number.end() + int(number[0])
            if end > len(symbol):
                return symbol
            parts.append(symbol[number.end() : end])
            at = end
            if not nested:
                break
        else:
            break
    if parts and symbol[at : at + 2] in ("C1", "C2", "C3"):
        parts.append(parts[-1])
    elif parts and symbol[at : at + 2] in ("D0", "D1", "D2"):
        parts.append(f"~{parts[-1]}")
    elif parts and symbol[at : at + 1] == "I":
        parts[-1] += "<...>"
    return "::".join(parts) or symbol


def _newest(version: str, provider: Library) -> str | None:
    """The newest version of the same series that a provider defines: GLIBCXX_3.4.30 where 3.4.32 is wanted."""
    series = version.rpartition("_")[0]
    same = [each for each in provider.versions if each.rpartition("_")[0] == series and each[-1].isdecimal()]
    return max(same, key=lambda each: tuple(map(int, _NUMBERS.findall(each))), default=None)
