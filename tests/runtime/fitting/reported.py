"""Reports of fits to render: of models of any number of layers and sources, whatever these are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mixprec_runtime.fitting.front import front, shown
from mixprec_runtime.fitting.solver import least_loss
from mixprec_runtime.records.fit import Forbidden, Losses, MeasuredMixture, Problem
from mixprec_runtime.records.fit_report import FitReport, Limit
from tests.runtime.fitting.problems import model, option, unit


def renamed(problem: Problem, losses: Losses, names: Mapping[str, str]) -> tuple[Problem, Losses]:
    units = tuple(
        replace(u, options=tuple(replace(o, source=names.get(o.source, o.source)) for o in u.options))
        for u in problem.units
    )
    alone = {(name, names.get(source, source)): nats for (name, source), nats in losses.alone.items()}
    joint = tuple(
        replace(each, choices=tuple((name, names.get(source, source)) for name, source in each.choices))
        for each in losses.joint
    )
    return replace(problem, units=units), replace(losses, alone=alone, joint=joint)


def report(
    *, layers: int = 6, sources: tuple[str, ...] = ("model", "int8", "gptq", "awq"), share: float = 0.35,
    names: Mapping[str, str] | None = None, head: bool = True, measured: bool = True, method: str = "kl",
) -> FitReport:  # fmt: skip
    """A fit to a share of the range of bytes, as the verb would hand it over; what was measured is made up."""
    problem, losses = model(layers=layers, sources=sources, pairs=layers < 40)
    if head:
        last = unit("lm_head", option("model", 56_000_000), option(sources[-1], 16_000_000))
        problem = replace(problem, units=(*problem.units, last))
        losses = replace(losses, alone={**losses.alone, ("lm_head", "model"): 0.0, ("lm_head", sources[-1]): 0.02})
    problem, losses = renamed(problem, losses, names or {})
    reason = Forbidden(choices=(("model.layers.1.mlp.down_proj", "awq"),), why="no kernel of the engine takes it here")
    problem = replace(problem, left_out=(reason,))
    estimated = frozenset({(problem.units[3].name, problem.units[3].options[-1].source)})
    losses = replace(losses, method=method, text="Apache License 2.0", tokens=4096, scaled=estimated)
    points = front(problem, losses)
    limit = Limit(bytes=int(points.bytes[0] + share * (points.bytes[-1] - points.bytes[0])))
    chosen = least_loss(problem, losses, limit=limit)
    made = FitReport(
        mix="folder/sources.yaml", asked="140MB", goal="least loss under 140.0 MB", problem=problem, losses=losses,
        chosen=chosen, limit=limit, front=shown(points), front_points=len(points),
        seconds={"measuring units": 41.2, "solving": 0.2}, notes=("The budget is a share of the range.",),
        written="mix.yaml",
    )  # fmt: skip
    if not measured:
        return made
    mixtures = [("mixture", chosen), *((f"all {source}", made.alone(source)) for source in made.sources)]
    found = tuple(
        MeasuredMixture(
            name=name, bytes=each.bytes, divergence=1.2 * each.loss, nats=3.1 + each.loss, tokens=2560,
            predicted=each.loss,
        )
        for name, each in mixtures
    )  # fmt: skip
    return replace(made, measured=found, measured_text="GNU General Public License")
