"""What a fit decides about: units with a source to choose, what each choice costs and loses, and what was chosen."""

from __future__ import annotations

__all__ = [
    "Choice", "ChoiceUnit", "ChosenMixture", "Forbidden", "JointLoss", "Losses", "MeasuredMixture", "Option", "Problem",
]  # fmt: skip

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mixprec_doctor.records.format import Format

Choice = tuple[str, str]
"""The name of a unit, and of the source that it is taken from."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A source from which a unit can be served.

    ``bytes`` and ``bytes_per_rank`` count the unit's modules with all that follows them (biases, a smoothed norm).
    ``follows`` are modules beside the unit's own that come from this source with it (norms, by checkpoint names).
    ``seconds`` is the time of one row through its kernels, where every one of them was timed.
    """

    source: str
    format: Format
    bytes: int
    bytes_per_rank: tuple[int, ...]
    follows: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChoiceUnit:
    """Modules that are chosen together and independently of others: a fused unit, the experts of a layer, a module.

    ``name`` is what engines call the union ("model.layers.3.mlp.gate_up_proj"), ``layer`` its number and ``kind`` the
    name without it ("mlp.gate_up_proj"); a unit outside the layers has no number and its name as kind. ``modules`` are
    checkpoint names. The first option is the one that takes most bytes.
    """

    name: str
    kind: str
    layer: int | None
    modules: tuple[str, ...]
    parameters: int  # of the plain weights
    options: tuple[Option, ...]

    def option(self, source: str) -> Option:
        """The option of that source. Raises KeyError."""
        for each in self.options:
            if each.source == source:
                return each
        raise KeyError((self.name, source))


@dataclass(frozen=True, kw_only=True)
class Forbidden:
    """Choices that cannot be served all together, and why: "v_proj and o_proj of 'awq' have scales between them"."""

    choices: tuple[Choice, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """All that can be chosen of one model. What is no unit's stands in the fixed bytes."""

    units: tuple[ChoiceUnit, ...]
    forbidden: tuple[Forbidden, ...]
    fixed_bytes: int
    fixed_bytes_per_rank: tuple[int, ...]
    fixed: Mapping[str, str] = field(default_factory=dict)  # source of linear modules that are not chosen, by name
    left_out: tuple[Forbidden, ...] = ()  # options that no choice of others can save, each with its reason

    def unit(self, name: str) -> ChoiceUnit:
        """The unit of that name. Raises KeyError."""
        for each in self.units:
            if each.name == name:
                return each
        raise KeyError(name)

    def bytes_of(self, chosen: Mapping[str, str]) -> int:
        """Bytes of the whole model with that source for each unit."""
        return self.fixed_bytes + sum(unit.option(chosen[unit.name]).bytes for unit in self.units)

    def bytes_per_rank_of(self, chosen: Mapping[str, str]) -> tuple[int, ...]:
        """What each rank holds of it."""
        held = [unit.option(chosen[unit.name]).bytes_per_rank for unit in self.units]
        return tuple(map(sum, zip(self.fixed_bytes_per_rank, *held, strict=True)))

    def seconds_of(self, chosen: Mapping[str, str]) -> float | None:
        """Time of one row through all units; None where a kernel of one of them was not timed."""
        each = [unit.option(chosen[unit.name]).seconds for unit in self.units]
        known = [seconds for seconds in each if seconds is not None]
        return math.fsum(known) if len(known) == len(each) else None


@dataclass(frozen=True, kw_only=True)
class JointLoss:
    """What choices lose together beyond what each loses alone and smaller sets of them lose together.

    In nats a token; may be below zero.
    """

    choices: tuple[Choice, ...]
    nats: float


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What each choice loses against the base model.

    With ``method`` "kl" these are nats a token: the Kullback-Leibler divergence of the next-token distribution on a
    text, with that unit alone taken from that source. With "error" they are numbers without a unit: the relative
    squared error of the weights, ``|W - W'|^2 / |W|^2``, summed over a unit's modules weighted by their parameters'
    share of the model. ``joint`` are of units of one layer. ``scaled`` choices change the output of their layer so much
    less than another source of their unit that theirs is the other's loss, scaled by the squares of these changes.
    """

    method: str  # "kl" or "error"
    alone: Mapping[Choice, float]
    joint: tuple[JointLoss, ...] = ()
    scaled: frozenset[Choice] = frozenset()
    text: str | None = None  # what it was measured on
    tokens: int = 0
    seconds: float = 0.0  # that measuring took; 0 where all was known

    def of(self, chosen: Mapping[str, str]) -> float:
        """Predicted loss of a whole choice."""
        both = (each.nats for each in self.joint if all(chosen.get(unit) == source for unit, source in each.choices))
        return math.fsum(self.alone[unit, source] for unit, source in chosen.items()) + math.fsum(both)


@dataclass(frozen=True, kw_only=True)
class ChosenMixture:
    """One solution: a source for each unit, and what it costs and loses by the numbers it was solved with."""

    sources: Mapping[str, str]  # by the unit's name
    bytes: int
    bytes_per_rank: tuple[int, ...]
    loss: float
    seconds: float | None = None  # of one row, where all kernels were timed


@dataclass(frozen=True, kw_only=True)
class MeasuredMixture:
    """How a whole choice really does on a text: nats a token."""

    name: str  # "mixture", "all int8", ...
    bytes: int
    divergence: float  # Kullback-Leibler, from the base
    nats: float  # mean negative log-probability of a token
    tokens: int
    predicted: float | None = None  # divergence by the losses

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean loss of a token."""
        return math.exp(self.nats)
