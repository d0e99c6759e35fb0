"""A fit as JSON: an object for the document of a plan, and a document of its own."""

from __future__ import annotations

__all__ = ["fit_document", "fit_json"]

import math
from dataclasses import asdict

from mixprec_doctor.records.document import document
from mixprec_runtime.records.fit import ChoiceUnit, ChosenMixture, Forbidden, Losses, MeasuredMixture, Option
from mixprec_runtime.records.fit_report import FitReport


def fit_document(report: FitReport) -> dict[str, object]:
    """The ``mixprec.fit/1`` document."""
    return document("fit", fit_json(report))


def fit_json(report: FitReport) -> dict[str, object]:
    """The ``fit`` object of ``mixprec.plan/1`` documents; numbers that are none are null."""
    problem, losses = report.problem, report.losses
    return {
        "mix": report.mix,
        "asked": report.asked,
        "goal": report.goal,
        "limit": asdict(report.limit) if report.limit is not None else None,
        "most_loss": _number(report.most_loss),
        "written": report.written,
        "chosen": {**_mixture(report.chosen), "sources": dict(report.chosen.sources)},
        "alone": [{"source": source, **_mixture(report.alone(source))} for source in report.sources],
        "measured_text": report.measured_text,
        "measured": [_measured(each) for each in report.measured],
        "losses": {
            "method": losses.method,
            "text": losses.text,
            "tokens": losses.tokens,
            "seconds": losses.seconds,
            "joint": [
                {"choices": [list(choice) for choice in each.choices], "nats": _number(each.nats)}
                for each in losses.joint
            ],
        },
        "front_points": report.front_points,
        "front": [_mixture(each) for each in report.front],
        "fixed_bytes": problem.fixed_bytes,
        "fixed_bytes_per_rank": list(problem.fixed_bytes_per_rank),
        "fixed": dict(problem.fixed),
        "units": [_unit(unit, losses, report.chosen.sources[unit.name]) for unit in problem.units],
        "forbidden": [_forbidden(each) for each in problem.forbidden],
        "left_out": [_forbidden(each) for each in problem.left_out],
        "seconds": dict(report.seconds),
        "notes": list(report.notes),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _mixture(mixture: ChosenMixture) -> dict[str, object]:
    return {
        "bytes": mixture.bytes,
        "bytes_per_rank": list(mixture.bytes_per_rank),
        "loss": _number(mixture.loss),
        "seconds": mixture.seconds,
    }


def _measured(mixture: MeasuredMixture) -> dict[str, object]:
    finite = mixture.nats < 700  # above it a perplexity is no number any more
    return {
        "name": mixture.name,
        "bytes": mixture.bytes,
        "divergence": _number(mixture.divergence),
        "predicted": _number(mixture.predicted),
        "nats_per_token": _number(mixture.nats),
        "perplexity": mixture.perplexity if finite else None,
        "tokens": mixture.tokens,
    }


def _unit(unit: ChoiceUnit, losses: Losses, chosen: str) -> dict[str, object]:
    return {
        "unit": unit.name,
        "kind": unit.kind,
        "layer": unit.layer,
        "modules": list(unit.modules),
        "parameters": unit.parameters,
        "chosen": chosen,
        "options": [_option(unit.name, option, losses) for option in unit.options],
    }


def _option(unit: str, option: Option, losses: Losses) -> dict[str, object]:
    choice = (unit, option.source)
    return {
        "source": option.source,
        "format": option.format.name,
        "bytes": option.bytes,
        "bytes_per_rank": list(option.bytes_per_rank),
        "follows": list(option.follows),
        "seconds": option.seconds,
        "loss": _number(losses.alone.get(choice)),
        "estimated": choice in losses.scaled,
    }


def _forbidden(each: Forbidden) -> dict[str, object]:
    return {"choices": [list(choice) for choice in each.choices], "why": each.why}
