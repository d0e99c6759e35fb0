"""Budget: what ``--fit`` asks for, read from its text and worked out for one problem."""

from __future__ import annotations

__all__ = ["Budget", "InvalidBudget", "NoRoom", "resolve_budget", "smallest_bytes"]

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.fitting.errors import NoMixtureFits, UntimedOptions
from mixprec_runtime.fitting.kvcache import cache_bytes, served_tokens
from mixprec_runtime.fitting.words import memory_words, size_words, time_words
from mixprec_runtime.records.fit import Losses, Problem
from mixprec_runtime.records.fit_report import Limit
from mixprec_runtime.records.mix import Mix

SHARE = 0.9
UNITS: Mapping[str, int] = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
KNOWN = "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
SHARE_OF_RANGE = re.compile(r"\d*\.\d+|\d+(?:\.\d+)?\s*%", re.ASCII)
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|ms|us|µs)", re.ASCII)
SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
EQUAL = 1e-9  # relative difference of sums of the same numbers in another order
LOSS = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+", re.ASCII | re.IGNORECASE)
LONGEST = 40  # characters of a number


class InvalidBudget(MixprecError):
    """A text that says no budget."""

    exit_code = ExitCode.MISUSE

    def __init__(self, asked: str, fault: str) -> None:
        super().__init__(asked, fault)
        self.asked = asked
        self.fault = fault

    def __str__(self) -> str:
        return (
            f"wanted a budget, found {self.asked[: 2 * LONGEST]!r}: {self.fault}\n"
            "  try: 140MB, 1.5GiB, 0.5 (half way from the smallest mixture to the largest), gpu:24GiB or loss:0.05"
        )


class NoRoom(MixprecError):
    """A memory that the cache alone fills."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, asked: str, room: int, cache: int, tokens: int) -> None:
        super().__init__(asked, room, cache, tokens)
        self.asked = asked
        self.room = room
        self.cache = cache
        self.tokens = tokens

    def __str__(self) -> str:
        return (
            f"{self.asked} leaves no room for weights: the cache of {self.tokens:,} tokens takes "
            f"{memory_words(self.cache)} of {memory_words(self.room)} on a rank, "
            f"{memory_words(self.cache - self.room)} too much\n"
            "  try: a shorter --context, `serve: {kv_cache_dtype: fp8}`, or more ranks"
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What was asked, and what that is for one model: a limit, or the most that may be lost.

    ``goal`` says it in words: "least loss under 140.0 MB"; ``how`` is how the limit came about, a sentence.
    """

    asked: str
    goal: str
    how: str
    limit: Limit | None = None
    most_loss: float | None = None


def resolve_budget(
    asked: str,
    problem: Problem,
    mix: Mix,
    *,
    ranks: int = 1,
    stages: int = 1,
    context: int | None = None,
    share: float | None = None,
    by_time: bool = False,
) -> Budget:
    """The budget that a text means; with ``by_time`` of the time of one row through all units, "3.2ms" or a part.

    With ``gpu:`` each rank may hold what ``share`` of that memory (0.9, or what the mix is served with) leaves beside
    the cache of ``context`` tokens (the longest sequence that the mix is served with). Raises InvalidBudget, NoRoom,
    NoMixtureFits where even the smallest mixture is too large, and UntimedOptions where times are not known.
    """
    text = asked.strip()
    kind, colon, rest = text.partition(":")
    if by_time:
        return _time(text, problem)
    if colon and kind.lower() == "loss":
        return _loss(text, rest.strip())
    if colon and kind.lower() == "gpu":
        return _device(text, rest.strip(), problem, mix, ranks=ranks, stages=stages, context=context, share=share)
    if colon:
        raise InvalidBudget(text, f"there is no budget of the kind {kind!r}, only gpu: and loss:")
    if SHARE_OF_RANGE.fullmatch(text) and len(text) <= LONGEST:
        return _part(text, problem)
    most = _size(text, text)
    smallest = smallest_bytes(problem)
    if smallest > most:
        raise NoMixtureFits(most, smallest)
    return Budget(
        asked=text,
        goal=f"least loss under {size_words(most)}",
        how=f"The smallest mixture takes {size_words(smallest)}, the largest {size_words(_largest(problem))}.",
        limit=Limit(bytes=most),
    )


def smallest_bytes(problem: Problem) -> int:
    """Bytes of the smallest mixture that can be served."""
    sizes = {unit.name: min(unit.options, key=lambda option: option.bytes) for unit in problem.units}
    chosen = {unit: option.source for unit, option in sizes.items()}
    if not any(all(chosen[unit] == source for unit, source in each.choices) for each in problem.forbidden):
        return problem.bytes_of(chosen)
    from mixprec_runtime.fitting.solver import least_bytes

    nothing = {(unit.name, option.source): 0.0 for unit in problem.units for option in unit.options}
    return least_bytes(problem, Losses(method="error", alone=nothing), most_loss=0.0).bytes


def _largest(problem: Problem) -> int:
    return problem.fixed_bytes + sum(unit.options[0].bytes for unit in problem.units)


def _loss(asked: str, text: str) -> Budget:
    if not LOSS.fullmatch(text) or len(text) > LONGEST or not math.isfinite(float(text)):
        raise InvalidBudget(asked, f"{text!r} is no loss; it is a number of nats a token, 0 or more")
    most = float(text)
    return Budget(
        asked=asked, goal=f"fewest bytes with a loss of {most:g} at most", how="The loss was given.", most_loss=most
    )


def _part_of(asked: str) -> Fraction:
    part = Fraction(asked.removesuffix("%").strip()) / (100 if asked.endswith("%") else 1)
    if part > 1:
        raise InvalidBudget(asked, "a part of the way from the smallest mixture to the largest is 0.0 to 1.0")
    return part


def _part(asked: str, problem: Problem) -> Budget:
    part = _part_of(asked)
    smallest, largest = smallest_bytes(problem), _largest(problem)
    most = smallest + math.floor(part * (largest - smallest))
    return Budget(
        asked=asked,
        goal=f"least loss under {size_words(most)}",
        how=f"{float(part):.0%} of the way from the smallest mixture, {size_words(smallest)}, to the largest, "
        f"{size_words(largest)}.",
        limit=Limit(bytes=most),
    )


def _time(asked: str, problem: Problem) -> Budget:
    choices = [((unit.name, option.source), option.seconds) for unit in problem.units for option in unit.options]
    if untimed := [choice for choice, seconds in choices if seconds is None]:
        raise UntimedOptions(untimed)
    known = [[option.seconds or 0.0 for option in unit.options] for unit in problem.units]
    least, longest = math.fsum(map(min, known)), math.fsum(map(max, known))
    if SHARE_OF_RANGE.fullmatch(asked) and len(asked) <= LONGEST:
        most = least + float(_part_of(asked)) * (longest - least)
    elif (found := DURATION.fullmatch(asked)) is not None and len(asked) <= LONGEST:
        most = float(found[1]) * SECONDS[found[2]]
    else:
        raise InvalidBudget(asked, "with time as the cost it is a time, such as 3.2ms, or a part, such as 0.5")
    if most < least * (1 - EQUAL):
        raise NoMixtureFits(most, least, unit="seconds")
    return Budget(
        asked=asked,
        goal=f"least loss in {time_words(most)} for one row",
        how=f"One row takes {time_words(least)} in the quickest mixture, {time_words(longest)} in the slowest.",
        limit=Limit(seconds=most),
    )


def _device(
    asked: str, text: str, problem: Problem, mix: Mix, *, ranks: int, stages: int, context: int | None,
    share: float | None,
) -> Budget:  # fmt: skip
    memory = _size(asked, text)
    config = json.loads((mix.model.path / "config.json").read_text(encoding="utf-8"))
    used = share if share is not None else _served_share(mix)
    if not 0 < used <= 1:
        raise InvalidBudget(asked, f"the share of the memory that is used is above 0 and at most 1, found {used}")
    tokens = context if context is not None else served_tokens(mix, config)
    if tokens is None:
        raise InvalidBudget(asked, "no config says how long a sequence may be; give --context")
    room = math.floor(Fraction(str(used)) * memory)
    cache = cache_bytes(mix, config, tokens=tokens, ranks=ranks, stages=stages)
    left = tuple(room - each for each in cache)
    if min(left) <= 0:
        raise NoRoom(asked, room, max(cache), tokens)
    for rank, most in enumerate(left):
        least = problem.fixed_bytes_per_rank[rank] + sum(
            min(option.bytes_per_rank[rank] for option in unit.options) for unit in problem.units
        )
        if least > most:
            raise NoMixtureFits(most, least, place=f"on rank {rank}")
    fits = size_words(min(left))
    return Budget(
        asked=asked,
        goal=f"least loss with {fits} on each rank" if len(left) > 1 else f"least loss under {fits}",
        how=f"{used:.0%} of {memory_words(memory)}, less {memory_words(max(cache))} for the keys and values of "
        f"{tokens:,} tokens; what activations take is not known before the engine runs.",
        limit=Limit(bytes_per_rank=left),
    )


def _served_share(mix: Mix) -> float:
    """What the engine is told to use of the memory; SGLang's share is another, of weights and cache alone."""
    said = mix.serve.get("gpu_memory_utilization", mix.serve.get("gpu-memory-utilization"))
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else SHARE


def _size(asked: str, text: str) -> int:
    found = SIZE.fullmatch(text)
    if found is None or len(text) > LONGEST:
        raise InvalidBudget(
            asked, f"{text[:LONGEST]!r} is no size: a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
        )
    number, unit = found.groups()
    if unit.upper() not in UNITS:
        raise InvalidBudget(
            asked, f"there is no unit {unit[:LONGEST]!r}, only B, kB, MB, GB, TB, KiB, MiB, GiB and TiB"
        )
    most = math.floor(Fraction(number) * UNITS[unit.upper()])
    if most <= 0:
        raise InvalidBudget(asked, "nothing fits in no bytes")
    return most
