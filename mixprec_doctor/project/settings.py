"""Settings: the table ``[tool.mixprec]`` of the nearest ``pyproject.toml`` that has one."""

from __future__ import annotations

__all__ = ["InvalidSettings", "Settings", "find_settings", "read_settings"]

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.files import LARGEST_LIST, read_file

FILE = "pyproject.toml"
_LISTS = ("against", "packages", "select", "ignore", "exclude")


class InvalidSettings(MixprecError):
    """A ``pyproject.toml`` that cannot be read, or a table in it with faults; all of them are named."""

    def __init__(self, file: str, faults: tuple[str, ...]) -> None:
        super().__init__(file, faults)
        self.file = file
        self.faults = faults

    def __str__(self) -> str:
        faults = "".join(f"\n  {fault}" for fault in self.faults)
        return f"the settings in {self.file} cannot be used{faults}\n  try: mixprec check --help names what can be set"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a project asks `mixprec check` for; what the command line says goes before it."""

    file: Path | None = None
    against: tuple[str, ...] = ()
    from_: str | None = None
    packages: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # patterns of paths, below the folder of the file
    strict: bool = False

    @property
    def folder(self) -> Path | None:
        """Where the patterns of ``exclude`` begin."""
        return self.file.parent if self.file else None


KEYS = tuple("from" if each.name == "from_" else each.name for each in fields(Settings) if each.name != "file")


def find_settings(start: Path) -> Settings:
    """Those of the nearest ``pyproject.toml`` with a ``[tool.mixprec]`` above a file or folder; else none are set."""
    try:
        place = start.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        place = start.absolute()
    for folder in (place, *place.parents):
        if (content := read_file(folder / FILE, most=LARGEST_LIST)) is not None and b"mixprec" in content:
            table = _table(folder / FILE, content)
            if table is not None:
                return read_settings(table, folder / FILE)
    return Settings()


def read_settings(table: Mapping[str, Any], file: Path) -> Settings:
    """The settings of a table, or all its faults at once."""
    if faults := tuple(_faults(table)):
        raise InvalidSettings(str(file), faults)
    lists = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in table.items() if key in _LISTS}
    return Settings(file=file, from_=table.get("from"), strict=table.get("strict", False), **lists)


def _table(file: Path, content: bytes) -> Mapping[str, Any] | None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as fault:
        raise InvalidSettings(str(file), (f"it is no UTF-8: {fault.reason} at byte {fault.start}",)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise InvalidSettings(str(file), (f"it is no TOML: {fault}",)) from None
    tool = document.get("tool")
    table = tool.get("mixprec") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    raise InvalidSettings(str(file), (f"tool.mixprec: wanted a table, found {table!r}",))


def _faults(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=2)
            known = f"near: {', '.join(near)}" if near else f"known: {', '.join(KEYS)}"
            yield f"unknown key {key!r}; {known}"
        elif key == "strict":
            if not isinstance(value, bool):
                yield f"strict: wanted true or false, found {value!r}"
        elif key == "from":
            if not isinstance(value, str):
                yield f"from: wanted a text such as 'vllm==0.10.2', found {value!r}"
        elif not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        ):
            yield f"{key}: wanted a list of texts, found {value!r}"
