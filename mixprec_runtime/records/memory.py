"""MemoryReport: bytes of a mixture, planned and measured, beside BF16 and beside each checkpoint alone."""

from __future__ import annotations

__all__ = [
    "UNFILLED",
    "FormatMemory",
    "MemoryReport",
    "NothingMeasured",
    "RankMemory",
    "UniformMemory",
    "UnitMemory",
    "layer_of",
]

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.document import document

UNFILLED = "other"
"""The format of tables and buffers that no checkpoint fills."""


class NothingMeasured(MixprecError):
    """A place where a memory report was looked for and is not."""

    exit_code = ExitCode.MISUSE

    def __init__(self, place: str, fault: str, remedy: str) -> None:
        super().__init__(place, fault, remedy)
        self.place = place
        self.fault = fault
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.place} {self.fault}\n  try: {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class UnitMemory:
    """Bytes of modules that an engine holds as one. Each tuple has an entry per rank; None: nothing was measured."""

    unit: str
    modules: tuple[str, ...]  # checkpoint names
    source: str | None  # None: no checkpoint fills it
    format: str
    method: str | None
    file_bytes: int
    bf16_bytes: int
    uniform: Mapping[str, int]  # file bytes, were it taken from each source
    planned: tuple[int, ...]
    loaded: tuple[int, ...] | None
    held: tuple[int, ...] | None  # after the engine's own repacking


@dataclass(frozen=True, kw_only=True)
class FormatMemory:
    """Sums over the units of one format: bytes that are read, and those that all ranks hold together."""

    format: str
    file_bytes: int
    planned: int
    loaded: int | None
    held: int | None
    bf16_bytes: int


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """Sums over the units of one rank; ``grown`` is what its process or device holds more than before the model."""

    rank: int
    planned: int
    loaded: int | None
    held: int | None
    grown: int | None


@dataclass(frozen=True, kw_only=True)
class UniformMemory:
    """The whole model with every linear layer from one source; ``kept`` counts those that it lacks (the base's)."""

    source: str
    formats: tuple[str, ...]  # of the linear layers taken from it
    by_format: Mapping[str, int]  # file bytes of the whole model
    bytes: int
    bytes_per_rank: tuple[int, ...]
    taken: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """The whole report. Units stand in the model's order; sums over them are the totals, to the byte."""

    mix: str
    world: int
    linear: tuple[str, ...]  # formats of the mixture's linear layers
    units: tuple[UnitMemory, ...]
    uniform: tuple[UniformMemory, ...]
    grown: tuple[int, ...] | None

    @property
    def measured(self) -> bool:
        """Whether an engine's accounts are part of it."""
        return self.grown is not None

    @property
    def file_bytes(self) -> int:
        """Bytes that are read."""
        return sum(unit.file_bytes for unit in self.units)

    @property
    def bf16_bytes(self) -> int:
        """Bytes of the same model with two for each parameter."""
        return sum(unit.bf16_bytes for unit in self.units)

    @property
    def ranks(self) -> tuple[RankMemory, ...]:
        """Sums by rank."""
        return tuple(
            RankMemory(
                rank=rank,
                planned=sum(unit.planned[rank] for unit in self.units),
                loaded=_at(rank, [unit.loaded for unit in self.units]),
                held=_at(rank, [unit.held for unit in self.units]),
                grown=self.grown[rank] if self.grown is not None else None,
            )
            for rank in range(self.world)
        )

    @property
    def formats(self) -> tuple[FormatMemory, ...]:
        """Sums by format, the largest first, and last what no checkpoint fills."""
        names = dict.fromkeys(unit.format for unit in self.units)
        sums = [_of_format(name, [unit for unit in self.units if unit.format == name]) for name in names]
        return tuple(sorted(sums, key=lambda each: (each.format == UNFILLED, -each.planned)))

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.memory/1`` document."""
        return document(
            "memory",
            {
                "mix": self.mix,
                "measured": self.measured,
                "linear": list(self.linear),
                "totals": {
                    "file_bytes": self.file_bytes,
                    "bf16_bytes": self.bf16_bytes,
                    "formats": [asdict(each) for each in self.formats],
                    "ranks": [asdict(each) for each in self.ranks],
                },
                "uniform": [asdict(each) for each in self.uniform],
                "units": [asdict(each) for each in self.units],
            },
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> MemoryReport:
        """Read a ``mixprec.memory/1`` document back; its totals are summed up anew."""
        ranks = raw["totals"]["ranks"]
        return cls(
            mix=raw["mix"],
            world=len(ranks),
            linear=tuple(raw["linear"]),
            units=tuple(UnitMemory(**_tuples(unit, "modules", "planned", "loaded", "held")) for unit in raw["units"]),
            uniform=tuple(UniformMemory(**_tuples(each, "formats", "bytes_per_rank")) for each in raw["uniform"]),
            grown=tuple(rank["grown"] for rank in ranks) if raw["measured"] else None,
        )


def layer_of(unit: str) -> tuple[str | None, int]:
    """The stack and number of the layer that a unit is in (``model.layers``, 3); None for what is in none."""
    parts = unit.split(".")
    for at, part in enumerate(parts):
        if part.isdecimal() and 0 < at < len(parts) - 1:
            return ".".join(parts[:at]), int(part)
    return None, 0


def _tuples(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: tuple(value) if key in names and value is not None else value for key, value in raw.items()}


def _at(rank: int, columns: list[tuple[int, ...] | None]) -> int | None:
    found = [column[rank] for column in columns if column is not None]
    return sum(found) if found else None


def _of_format(name: str, units: list[UnitMemory]) -> FormatMemory:
    loaded = [sum(unit.loaded) for unit in units if unit.loaded is not None]
    held = [sum(unit.held) for unit in units if unit.held is not None]
    return FormatMemory(
        format=name,
        file_bytes=sum(unit.file_bytes for unit in units),
        planned=sum(sum(unit.planned) for unit in units),
        loaded=sum(loaded) if loaded else None,
        held=sum(held) if held else None,
        bf16_bytes=sum(unit.bf16_bytes for unit in units),
    )
