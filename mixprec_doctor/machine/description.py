"""Descriptions of machines that one does not have at hand: JSON or YAML, in three forms, every fault named at once."""

from __future__ import annotations

__all__ = ["InvalidMachine", "read_description"]

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.files import read_file
from mixprec_doctor.records.machine import Accelerator, Machine, Tool

_LARGEST = 16 * 2**20
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)", re.IGNORECASE)
_CAPABILITY = re.compile(r"\d+\.\d")
_MOST_GPUS = 1024
_GPU_KEYS = frozenset({"name", "compute_capability", "memory", "memory_bytes", "driver", "count"})
_TEXTS = ("system", "architecture", "cpu", "driver", "cuda", "libc", "container", "compiler", "ninja")
_NUMBERS = ("cores",)
_SIZES = {"memory": "memory_bytes", "memory_bytes": "memory_bytes", "memory_limit": "memory_limit"}
_PAIRS = ("open_files", "shared_memory")
_KEYS = frozenset({"accelerators", "cpu_flags", "nvcc", *_TEXTS, *_NUMBERS, *_SIZES, *_PAIRS})


class InvalidMachine(MixprecError):
    """A description that does not describe a machine; ``faults`` are all that is wrong with it."""

    def __init__(self, file: str, faults: tuple[str, ...]) -> None:
        super().__init__(file, faults)
        self.file = file
        self.faults = faults

    def __str__(self) -> str:
        lines = [f"{self.file} does not describe a machine", *(f"  {fault}" for fault in self.faults)]
        lines.append('  try: {"accelerators": [{"name": "H200", "compute_capability": "9.0", "memory": "141GB"}]}')
        return "\n".join(lines)


def read_description(file: Path) -> Machine:
    """The machine that a file describes: a report of the doctor, the machine of one, or the short form."""
    name = str(file)
    try:
        text = read_file(file, most=_LARGEST)
    except OSError as fault:
        raise InvalidMachine(name, (fault.strerror or str(fault),)) from fault
    if text is None:
        raise InvalidMachine(name, ("the file is not there, or cannot be read",))
    raw = _parsed(name, text)
    if isinstance(raw, dict) and isinstance(raw.get("machine"), dict) and "schema" in raw:
        raw = raw["machine"]
    if not isinstance(raw, dict):
        raise InvalidMachine(name, ("wanted an object with keys such as accelerators and cpu_flags",))
    faults: list[str] = []
    machine = _machine(raw, faults)
    if faults:
        raise InvalidMachine(name, tuple(faults))
    return machine


def _parsed(name: str, text: bytes) -> Any:  # noqa: ANN401  whatever the file holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        if name.lower().endswith(".json") or text.lstrip()[:1] == b"{":
            raise InvalidMachine(name, (f"is no JSON: {fault}",)) from None
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        words = " ".join(str(fault).split())
        raise InvalidMachine(name, (f"is neither JSON nor YAML: {words}",)) from None


def _machine(raw: Mapping[str, Any], faults: list[str]) -> Machine:
    faults += [f"unknown key {key!r}" for key in raw if key not in _KEYS]
    found: dict[str, Any] = dict.fromkeys(
        (*_TEXTS, *_NUMBERS, *_PAIRS, "memory_bytes", "memory_limit", "cpu_flags"), None
    )
    for key in _TEXTS:
        found[key] = _checked(raw, key, str, "a text", faults)
    for key in _NUMBERS:
        found[key] = _checked(raw, key, int, "a number", faults)
    for key, field in _SIZES.items():
        if raw.get(key) is not None:
            found[field] = _size(raw[key], key, faults)
    for key in _PAIRS:
        found[key] = _pair(raw, key, faults)
    flags = raw.get("cpu_flags")
    if flags is not None:
        if isinstance(flags, list) and all(isinstance(each, str) for each in flags):
            found["cpu_flags"] = tuple(flags)
        else:
            faults.append(f"cpu_flags: wanted a list of texts such as [avx2, avx512f], found {flags!r}")
    tool = raw.get("nvcc")
    if isinstance(tool, dict) and isinstance(tool.get("path"), str):
        found["nvcc"] = Tool(path=tool["path"], version=tool.get("version"))
    elif tool is not None:
        faults.append(f"nvcc: wanted an object with a path, found {tool!r}")
    if found["architecture"] is None and found["cpu_flags"] is not None:
        found["architecture"] = "aarch64" if "asimd" in found["cpu_flags"] else "x86_64"
    return Machine(**found, accelerators=_accelerators(raw, faults))


def _accelerators(raw: Mapping[str, Any], faults: list[str]) -> tuple[Accelerator, ...] | None:
    if "accelerators" not in raw:
        return ()
    given = raw["accelerators"]
    if given is None:
        return None
    if not isinstance(given, list):
        faults.append(f"accelerators: wanted a list, found {given!r}")
        return ()
    found: list[Accelerator] = []
    for index, each in enumerate(given):
        where = f"accelerators[{index}]"
        if not isinstance(each, dict):
            faults.append(f"{where}: wanted an object with a name, found {each!r}")
            continue
        found += _accelerator(each, where, faults)
    return tuple(found)


def _accelerator(raw: Mapping[str, Any], where: str, faults: list[str]) -> list[Accelerator]:
    faults += [f"{where}: unknown key {key!r}" for key in raw if key not in _GPU_KEYS]
    capability = raw.get("compute_capability")
    if isinstance(capability, float):  # 9.0 in YAML
        capability = str(capability)
    if capability is not None and (not isinstance(capability, str) or not _CAPABILITY.fullmatch(capability)):
        faults.append(f"{where}: compute_capability: wanted such as '9.0', found {capability!r}")
        capability = None
    size = raw.get("memory", raw.get("memory_bytes"))
    count = raw.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_GPUS:
        faults.append(f"{where}: count: wanted a number from 1 to {_MOST_GPUS}, found {count!r}")
        count = 1
    name = _checked(raw, "name", str, "a text", faults, where=f"{where}: ")
    gpu = Accelerator(
        name=name or "unknown",
        compute_capability=capability,
        memory_bytes=_size(size, f"{where}: memory", faults) if size is not None else None,
        driver=_checked(raw, "driver", str, "a text", faults, where=f"{where}: "),
    )
    return [gpu] * count


def _checked(raw: Mapping[str, Any], key: str, kind: type, wanted: str, faults: list[str], *, where: str = "") -> Any:  # noqa: ANN401  of the kind asked for
    value = raw.get(key)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    faults.append(f"{where}{key}: wanted {wanted}, found {value!r}")
    return None


def _size(value: object, where: str, faults: list[str]) -> int | None:
    """Bytes of a number, or of a text such as 141GB or 80 GiB."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        faults.append(f"{where}: wanted bytes, or a text such as '141GB' or '80 GiB', found {value!r}")
        return None
    unit = found[2].upper()
    unit = unit if unit in ("", "B") or unit.endswith("B") else f"{unit}B"
    return int(float(found[1]) * {**_UNITS, **_BINARY}[unit])


def _pair(raw: Mapping[str, Any], key: str, faults: list[str]) -> tuple[int, int] | None:
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, int) for each in value):
        return value[0], value[1]
    faults.append(f"{key}: wanted two numbers, found {value!r}")
    return None
