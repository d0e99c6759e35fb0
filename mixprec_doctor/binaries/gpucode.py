"""GPU code: for which NVIDIA architectures a library carries code, read from its fat binaries.

The section ``.nv_fatbin`` is a row of containers: magic number, version, size of the head, size of the rest. In each
lie entries: kind (1 is PTX, 2 is machine code), version, size of the head, size of the contents, and at byte 28 the
architecture as a number (90 for sm_90). Contents may be compressed; heads never are.
"""

from __future__ import annotations

__all__ = ["GpuCode", "read_gpu_code"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.binaries.image import Damaged, Image

_MAGIC = 0xBA55ED50
_PTX, _MACHINE_CODE = 1, 2
_MOST_ENTRIES = 50_000
_MOST_SECTIONS = 4096
_SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
_NEWEST = 1000  # greater numbers are no architecture but a sign that the format is another


@dataclass(frozen=True, kw_only=True)
class GpuCode:
    """Architectures as numbers: 90 is compute capability 9.0, 120 is 12.0."""

    machine_code: tuple[int, ...] = ()  # sm_XX
    ptx: tuple[int, ...] = ()  # compute_XX, which the driver compiles for anything newer

    def __bool__(self) -> bool:
        return bool(self.machine_code or self.ptx)

    def __str__(self) -> str:
        return ", ".join([*(f"sm_{each}" for each in self.machine_code), *(f"PTX for {each}" for each in self.ptx)])

    def runs_on(self, capability: str) -> bool:
        """Whether a GPU of a compute capability ("9.0") can run it: same major number, or compiled from PTX."""
        major, _, minor = capability.partition(".")
        ours = int(major) * 10 + int(minor or 0)
        return any(each // 10 == ours // 10 and each <= ours for each in self.machine_code) or any(
            each <= ours for each in self.ptx
        )


def read_gpu_code(path: Path, *, enough: str | None = None) -> GpuCode | None:
    """The GPU code of a library, over all its containers; None when it has none or cannot be read.

    With ``enough`` reading ends as soon as something is found that runs on a GPU of that compute capability: most
    libraries begin with such code, and the largest have thousands of containers.
    """
    found: dict[int, set[int]] = {_PTX: set(), _MACHINE_CODE: set()}
    try:
        image = Image(path)
        for start, size in _sections(image):
            for kind, architecture in _entries(image, start, start + size):
                if architecture not in found[kind]:
                    found[kind].add(architecture)
                    if enough is not None and _code(found).runs_on(enough):
                        return _code(found)
    except (OSError, Damaged):
        return None
    return _code(found) or None


def _code(found: dict[int, set[int]]) -> GpuCode:
    return GpuCode(machine_code=tuple(sorted(found[_MACHINE_CODE])), ptx=tuple(sorted(found[_PTX])))


def _sections(image: Image) -> list[tuple[int, int]]:
    """Offset and size of the sections that hold fat binaries."""
    if image.bits != 64:
        return []
    (table,) = image.unpack("Q", 40)
    size, count, names_in = image.unpack("HHH", 58)
    if not table or not count or count > _MOST_SECTIONS:
        return []
    (names,) = image.unpack("Q", table + names_in * size + 24)
    found = []
    for index in range(count):
        name, kind, _, _, offset, length = image.unpack("IIQQQQ", table + index * size)
        if kind == 1 and image.word(names + name) in _SECTIONS:
            found.append((offset, min(length, image.size - offset)))
    return found


def _entries(image: Image, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Kind and architecture of every entry of the containers between two offsets."""
    left = _MOST_ENTRIES
    while at + 16 <= end and left > 0:
        magic, _, head, size = image.unpack("IHHQ", at)
        left -= 1
        if magic != _MAGIC:
            at += 8  # containers are aligned
            continue
        entry, at = at + head, at + head + size
        while entry + 32 <= min(at, end) and left > 0:
            kind, _, entry_head, length = image.unpack("HHIQ", entry)
            (architecture,) = image.unpack("I", entry + 28)
            if kind in (_PTX, _MACHINE_CODE) and 0 < architecture < _NEWEST:
                yield kind, architecture
            if not entry_head:
                break
            entry += entry_head + length
            left -= 1
