"""The columns of a memory picture: one per numbered layer of the model, and what stands outside of the layers."""

from __future__ import annotations

__all__ = ["Column", "Segment", "columns_of", "series_of"]

from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_runtime.records.memory import MemoryReport, UnitMemory, layer_of

SMALL = 0.01  # of the largest column: what is less shares one
UNSEEN = 0.002  # ... and what is less than this together is not drawn at all
OUTPUTS = frozenset({"o_proj", "out_proj", "down_proj", "dense", "dense_4h_to_h", "fc2", "w2"})
REST = "rest"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One unit in a column: bytes of the ranks that are drawn together."""

    unit: UnitMemory
    planned: int
    loaded: int | None
    held: int | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is drawn side by side; ``stack`` names the row of layers that a numbered one belongs to."""

    label: str
    stack: str | None
    segments: tuple[Segment, ...]
    bf16: int

    @property
    def planned(self) -> int:
        """Planned bytes."""
        return sum(each.planned for each in self.segments)

    @property
    def loaded(self) -> int | None:
        """Measured bytes; None where nothing was measured."""
        found = [each.loaded for each in self.segments if each.loaded is not None]
        return sum(found) if found else None

    @property
    def held(self) -> int | None:
        """Measured bytes after repacking."""
        found = [each.held for each in self.segments if each.held is not None]
        return sum(found) if found else None

    @property
    def largest(self) -> int:
        """The height that it needs."""
        return max(self.planned, self.loaded or 0, self.held or 0, self.bf16)


def series_of(report: MemoryReport) -> tuple[tuple[int, ...], ...]:
    """Ranks that hold the same bytes of every unit, together: one picture is enough for them."""
    alike: dict[object, list[int]] = {}
    for rank in range(report.world):
        key = tuple(
            (u.planned[rank], u.loaded and u.loaded[rank], u.held and u.held[rank]) for u in report.units
        )  # fmt: skip
        alike.setdefault(key, []).append(rank)
    return tuple(tuple(ranks) for ranks in alike.values())


def columns_of(report: MemoryReport, *, rank: int | None = None) -> tuple[Column, ...]:
    """Columns in the model's order, of all ranks together or of one (which BF16 bytes are not known of)."""
    places: dict[tuple[str | None, str], list[UnitMemory]] = {}
    for unit in report.units:
        places.setdefault(_place(unit.unit), []).append(unit)
    made = [_column(label, stack, units, rank) for (stack, label), units in places.items()]
    numbered = [column for column in made if column.stack is not None]
    largest = max((column.largest for column in made), default=0)
    outside = [column for column in made if column.stack is None]
    rest = [column for column in outside if column.largest < SMALL * largest]
    first = made.index(numbered[0]) if numbered else len(made)
    kept = [column for column in outside if column not in rest]
    before = [column for column in kept if made.index(column) < first]
    after = [column for column in kept if column not in before]
    if sum(column.largest for column in rest) >= UNSEEN * largest > 0:
        segments = tuple(segment for column in rest for segment in column.segments)
        after.append(Column(label=REST, stack=None, segments=segments, bf16=sum(column.bf16 for column in rest)))
    return (*before, *_in_order(numbered), *after)


def _in_order(numbered: Sequence[Column]) -> list[Column]:
    """Stacks as the model names them, in each the layers by number: files hold them in any order."""
    stacks = list(dict.fromkeys(column.stack for column in numbered))
    return sorted(numbered, key=lambda column: (stacks.index(column.stack), int(column.label)))


def _place(unit: str) -> tuple[str | None, str]:
    """The stack and number of the layer that a unit is in; None and its last name for what is in none."""
    stack, number = layer_of(unit)
    return (stack, str(number)) if stack is not None else (None, unit.rpartition(".")[2])


def _column(label: str, stack: str | None, units: Sequence[UnitMemory], rank: int | None) -> Column:
    segments = [
        Segment(
            unit=unit,
            planned=_of(unit.planned, rank),
            loaded=None if unit.loaded is None else _of(unit.loaded, rank),
            held=None if unit.held is None else _of(unit.held, rank),
        )
        for unit in units
    ]
    ordered = sorted(segments, key=lambda segment: _height_in_layer(segment.unit.unit))
    bf16 = sum(unit.bf16_bytes for unit in units) if rank is None else 0
    return Column(label=label, stack=stack, segments=tuple(ordered), bf16=bf16)


def _of(sizes: tuple[int, ...], rank: int | None) -> int:
    return sum(sizes) if rank is None else sizes[rank]


def _height_in_layer(unit: str) -> tuple[int, bool]:
    """Attention below, then what follows it, norms and tables on top; in each what the data meets first."""
    if "norm" in unit or "rotary" in unit:
        return 2, False
    return (0 if "attn" in unit or "attention" in unit else 1), unit.rpartition(".")[2] in OUTPUTS
