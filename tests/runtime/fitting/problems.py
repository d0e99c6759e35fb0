"""Problems of a fit to solve: drawn ones that are small enough to try every choice, and ones as large as models."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.records.fit import ChoiceUnit, ChosenMixture, Forbidden, JointLoss, Losses, Option, Problem
from mixprec_runtime.records.fit_report import mixture_of

FORMATS = {
    "model": Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16"),
    "int8": Format(kind=FormatKind.INT8, bits=8, scale="channel"),
    "fp8": Format(kind=FormatKind.FP8, bits=8, scale="channel"),
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=64),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=64),
}
LOSS = {"model": 0.0, "int8": 0.001, "fp8": 0.002, "gptq": 0.015, "awq": 0.025}
KINDS = {
    "self_attn.qkv_proj": (960, 576), "self_attn.o_proj": (576, 576),
    "mlp.gate_up_proj": (3072, 576), "mlp.down_proj": (576, 1536),
}  # fmt: skip


def unit(name: str, *options: Option, layer: int | None = None, kind: str | None = None) -> ChoiceUnit:
    return ChoiceUnit(
        name=name, kind=kind or name, layer=layer, modules=(name,), parameters=options[0].bytes // 2, options=options
    )


def option(source: str, size: int, *, ranks: tuple[int, ...] | None = None, seconds: float | None = None) -> Option:
    form = FORMATS.get(source, FORMATS["gptq"])
    return Option(source=source, format=form, bytes=size, bytes_per_rank=ranks or (size,), seconds=seconds)


def every_choice(problem: Problem) -> Iterator[dict[str, str]]:
    """All choices that nothing forbids."""
    for sources in product(*([each.source for each in unit.options] for unit in problem.units)):
        chosen = {unit.name: source for unit, source in zip(problem.units, sources, strict=True)}
        if not any(all(chosen[name] == source for name, source in each.choices) for each in problem.forbidden):
            yield chosen


def every_mixture(problem: Problem, losses: Losses) -> list[ChosenMixture]:
    return [mixture_of(problem, losses, chosen) for chosen in every_choice(problem)]


@st.composite
def problems(draw: st.DrawFn, *, ranks: int = 1, units: int = 5) -> tuple[Problem, Losses]:
    """Up to five units of up to three sources, with pairs and forbidden choices; every loss is a multiple of 2^-20."""
    sizes = st.integers(1, 40) | st.integers(10**11, 10**12)
    nats = st.integers(0, 6).map(lambda n: n / 4) | st.integers(0, 2**21).map(lambda n: n / 2**20)
    made, alone = [], {}
    for at in range(draw(st.integers(1, units))):
        options = []
        for source in ("model", "int8", "gptq")[: draw(st.integers(1, 3))]:
            each = tuple(draw(sizes) for _ in range(ranks))
            options.append(option(source, sum(each) - draw(st.integers(0, 1)), ranks=each, seconds=draw(sizes) / 1e3))
            alone[f"u{at}", source] = draw(nats)
        made.append(unit(f"u{at}", *options, layer=at // 3))
    choices = st.sampled_from(sorted(alone))
    some = st.lists(st.lists(choices, min_size=1, max_size=3, unique=True), max_size=4)
    forbidden = tuple(Forbidden(choices=tuple(each), why="so it is") for each in draw(some))
    joint = tuple(
        JointLoss(choices=tuple(each), nats=draw(nats) - 0.75)
        for each in draw(st.lists(st.lists(choices, min_size=1, max_size=3, unique=True), max_size=6))
        if len(each) > 1
    )
    fixed = tuple(draw(st.integers(0, 100)) for _ in range(ranks))
    problem = Problem(units=tuple(made), forbidden=forbidden, fixed_bytes=sum(fixed), fixed_bytes_per_rank=fixed)
    return problem, Losses(method="kl", alone=alone, joint=joint)


def model(
    *, layers: int = 30, sources: tuple[str, ...] = ("model", "int8", "gptq", "awq"), pairs: bool = True, seed: int = 0
) -> tuple[Problem, Losses]:
    """As large as SmolLM2-135M: four units a layer, the first and last layers more sensitive than the others."""
    luck, units, alone, both = random.Random(seed), [], {}, []  # noqa: S311  the same problem every time
    for layer in range(layers):
        names = []
        for kind, (out, inputs) in KINDS.items():
            names.append(f"model.layers.{layer}.{kind}")
            sensitive = math.exp(luck.gauss(0, 0.7)) * (4 if layer in (0, layers - 1) else 1)
            options = []
            for source in sources:
                bits = FORMATS[source].bits
                size = out * inputs * bits // 8 + (0 if bits == 16 else out * inputs // 32 if bits == 4 else out * 4)
                options.append(option(source, size, seconds=size / 1e10))
                alone[names[-1], source] = LOSS[source] * sensitive * math.exp(luck.gauss(0, 0.2))
            units.append(unit(names[-1], *options, layer=layer, kind=kind))
        for at, name in enumerate(names if pairs else ()):
            for other, mine, theirs in product(names[at + 1 :], sources[1:], sources[1:]):
                nats = luck.gauss(0, 0.3) * min(alone[name, mine], alone[other, theirs])
                both.append(JointLoss(choices=((name, mine), (other, theirs)), nats=nats))
    fixed = 56_623_104
    problem = Problem(units=tuple(units), forbidden=(), fixed_bytes=fixed, fixed_bytes_per_rank=(fixed,))
    return problem, Losses(method="kl", alone=alone, joint=tuple(both))
