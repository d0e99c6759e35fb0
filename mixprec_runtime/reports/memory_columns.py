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
    """Columns in the model's order, of all ranks together or of one (which BF16 bytes are not known of).

    Every rank has the same columns, so that panels can stand below each other.
    """
    places: dict[tuple[str | None, str], list[UnitMemory]] = {}
    for unit in report.units:
        places.setdefault(_place(unit.unit), []).append(unit)
    order = list(places)
    sizes = {place: _column(place, units, None).largest for place, units in places.items()}
    largest = max(sizes.values(), default=0)
    rest = [place for place in order if place[0] is None and sizes[place] < SMALL * largest]
    numbered = _in_order([place for place in order if place[0] is not None])
    first = min((order.index(place) for place in numbered), default=len(order))
    kept = [place for place in order if place[0] is None and place not in rest]
    before = [place for place in kept if order.index(place) < first]
    after = [place for place in kept if place not in before]
    columns = [_column(place, places[place], rank) for place in (*before, *numbered, *after)]
    if sum(sizes[place] for place in rest) >= UNSEEN * largest > 0:
        columns.append(_column((None, REST), [unit for place in rest for unit in places[place]], rank))
    return tuple(columns)


def _in_order(numbered: Sequence[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    """Stacks as the model names them, in each the layers by number: files hold them in any order."""
    stacks = list(dict.fromkeys(stack for stack, _ in numbered))
    return sorted(numbered, key=lambda place: (stacks.index(place[0]), int(place[1])))


def _place(unit: str) -> tuple[str | None, str]:
    """The stack and number of the layer that a unit is in; None and its last name for what is in none."""
    stack, number = layer_of(unit)
    return (stack, str(number)) if stack is not None else (None, unit.rpartition(".")[2])


def _column(place: tuple[str | None, str], units: Sequence[UnitMemory], rank: int | None) -> Column:
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
    stack, label = place
    return Column(label=label, stack=stack, segments=tuple(ordered), bf16=bf16)


def _of(sizes: tuple[int, ...], rank: int | None) -> int:
    return sum(sizes) if rank is None else sizes[rank]


def _height_in_layer(unit: str) -> tuple[int, bool]:
    """Attention below, then what follows it, norms and tables on top; in each what the data meets first."""
    if "norm" in unit or "rotary" in unit:
        return 2, False
    return (0 if "attn" in unit or "attention" in unit else 1), unit.rpartition(".")[2] in OUTPUTS
