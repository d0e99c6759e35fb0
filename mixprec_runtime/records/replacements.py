"""Replacements: what was done to each linear layer of an engine's model, and why nothing was done to the others."""

from __future__ import annotations

__all__ = ["Left", "Replaced", "Replacements"]

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mixprec_doctor.records.document import document


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """One layer whose compressed parameters were made; ``places`` is how many parents hold it."""

    layer: str
    members: tuple[str, ...]  # the planned modules that it unites, by their checkpoint names
    source: str
    format: str
    method: str
    bytes_before: int
    bytes_now: int
    places: int = 1


@dataclass(frozen=True, kw_only=True)
class Left:
    """A linear layer, or a planned module, that was left as it is, and why."""

    layer: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Replacements:
    """What became of every linear layer of a model, and of the quantized modules of the plan that found none."""

    engine: str
    replaced: tuple[Replaced, ...]
    left: tuple[Left, ...]
    missing: tuple[Left, ...]  # quantized modules of the plan for which the model has no linear layer
    seconds: float
    config_reused: bool  # an earlier call made the sources' configs of this plan already

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the replaced layers: what ``load_model_weights`` takes as ``layers``."""
        return tuple(each.layer for each in self.replaced)

    @property
    def bytes_before(self) -> int:
        """What the replaced layers held."""
        return sum(each.bytes_before for each in self.replaced)

    @property
    def bytes_now(self) -> int:
        """What stands in their place."""
        return sum(each.bytes_now for each in self.replaced)

    @property
    def by_format(self) -> Mapping[str, int]:
        """How many layers were replaced by layers of each format."""
        return dict(Counter(each.format for each in self.replaced))

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.replacements/1`` document."""
        sums = {"bytes_before": self.bytes_before, "bytes_now": self.bytes_now, "by_format": self.by_format}
        return document("replacements", {**asdict(self), "totals": sums})

    def __str__(self) -> str:
        formats = ", ".join(f"{count} {name}" for name, count in self.by_format.items()) or "none"
        lines = [
            f"{len(self.replaced)} linear layers replaced ({formats}) in {self.seconds:.2f} s: "
            f"{self.bytes_before:,} bytes before, {self.bytes_now:,} now"
        ]
        reasons = Counter(each.why for each in self.left)
        lines += [f"  {count} left: {why}" for why, count in reasons.items()]
        lines += [f"  {each.layer}: {each.why}" for each in self.missing]
        return "\n".join(lines)
