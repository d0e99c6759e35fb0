"""Poison: what parameters hold before loading, and what none of them may hold afterwards.

The recorder of fills believes what operators say they write. Poison looks at the memory itself, so that it also sees
an operator that leaves some elements out (``index_put_``), and one that writes nothing at all. On an accelerator all
memory is filled, which takes milliseconds. In a host's memory that would cost as much as loading itself, so one word of
each page is; a parameter gets all of it as soon as an operator comes that may leave elements out (``deepen``).

Floats are filled with a NaN whose payload no tool writes, one below the largest integer of the same bits, so that a
maximum is all that it takes to look for it: one pass over the memory and no second copy of it. Integers have no such
value: their memory is looked at in words of 8 bytes, of which random weights hold this one once in 10^19.
"""

from __future__ import annotations

__all__ = ["Poison"]

from collections.abc import Mapping
from dataclasses import dataclass

import torch

CHUNK = 1 << 22  # words that are compared at a time once poison was seen
PAGE = 4096
LARGE = 1 << 20  # bytes of a parameter from which one word of each page is enough


@dataclass(frozen=True)
class _Pattern:
    """An integer type of the same width, a value of it, and whether that is at the upper or the lower end."""

    view: torch.dtype
    word: int
    upper: bool = True


_WORD = _Pattern(torch.int64, 0x7FFF_FFFF_FFFF_FFFE)
_PATTERNS = {
    torch.float64: _WORD,
    torch.float32: _Pattern(torch.int32, 0x7FFF_FFFE),
    torch.float16: _Pattern(torch.int16, 0x7FFE),
    torch.bfloat16: _Pattern(torch.int16, 0x7FFE),
}
_BYTES = {
    "float8_e4m3fn": _Pattern(torch.int8, 0x7F),
    "float8_e5m2": _Pattern(torch.int8, 0x7F),
    "float8_e8m0fnu": _Pattern(torch.uint8, 0xFF),
    "float8_e4m3fnuz": _Pattern(torch.int8, -0x80, upper=False),
    "float8_e5m2fnuz": _Pattern(torch.int8, -0x80, upper=False),
}
"""The one NaN, or the largest, of types that this torch may not have."""
_PATTERNS |= {getattr(torch, name): pattern for name, pattern in _BYTES.items() if hasattr(torch, name)}


class Poison:
    """Fills the given parameters when it is made, and afterwards finds what is still there of it.

    A parameter that is no dense piece of memory is left as it is; so is one of integers that has no whole word.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor]) -> None:
        found = {name: _words(parameter) for name, parameter in parameters.items()}
        self._whole = {name: held for name, held in found.items() if held is not None}
        self._held = {name: (_sample(words), pattern) for name, (words, pattern) in self._whole.items()}
        for words, pattern in self._held.values():
            words.fill_(pattern.word)

    def deepen(self, name: str) -> None:
        """Fill all of a parameter that nothing has written to yet."""
        if name in self._whole:
            words, pattern = self._held[name] = self._whole[name]
            words.fill_(pattern.word)

    def remains(self) -> dict[str, int]:
        """How many bytes of which parameters still hold it; parameters without any are left out."""
        counts = {name: _count(*self._held[name]) for name in self._suspects()}
        return {name: count * self._held[name][0].element_size() for name, count in counts.items() if count}

    def _suspects(self) -> list[str]:
        """Parameters that hold a value at the poison's end; one transfer for each device."""
        hits: dict[torch.device, dict[str, torch.Tensor]] = {}
        for name, (words, pattern) in self._held.items():
            hit = words.max() >= pattern.word if pattern.upper else words.min() <= pattern.word
            hits.setdefault(hit.device, {})[name] = hit
        return [
            name
            for found in hits.values()
            for name, hit in zip(found, torch.stack(list(found.values())).tolist(), strict=True)
            if hit
        ]


def _words(parameter: torch.Tensor) -> tuple[torch.Tensor, _Pattern] | None:
    """A parameter's memory as a row of integers, and what to fill it with; None where there is no such row."""
    pattern = _PATTERNS.get(parameter.dtype, None if parameter.dtype.is_complex else _WORD)
    if pattern is None or parameter.is_meta or not parameter.numel() or not _is_dense(parameter):
        return None
    row = parameter.detach().as_strided((parameter.numel(),), (1,))
    size, width = row.element_size(), pattern.view.itemsize
    if size != width:
        if (row.storage_offset() * size) % width:
            return None
        row = row[: row.numel() * size // width * width // size]
    return (row.view(pattern.view), pattern) if row.numel() else None


def _sample(words: torch.Tensor) -> torch.Tensor:
    """The words that are filled: all, or of a large piece of host memory one of each page, the last among them."""
    if words.device.type != "cpu" or words.nbytes < LARGE:
        return words
    step = PAGE // words.element_size()
    return words[(words.numel() - 1) % step :: step]


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether its elements lie side by side in some order of its dimensions."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def _count(words: torch.Tensor, pattern: _Pattern) -> int:
    return sum(int((chunk == pattern.word).sum()) for chunk in words.split(CHUNK))
