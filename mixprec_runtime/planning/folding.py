"""Folding: pairs of layers that a smoothing quantizer scaled against each other, taken from different sources.

AWQ also moves scales between two linear layers: it divides outputs of v_proj (or up_proj) by what it multiplies the
inputs of o_proj (or down_proj) with. No norm shows that; some rows of the first layer, held against the base's, do.
"""

from __future__ import annotations

__all__ = ["find_folded"]

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.checkpoint.rows import read_row
from mixprec_runtime.checkpoint.values import FLOATS, differ, numbers, read_bytes
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.planning.disagreement import Taken
from mixprec_runtime.planning.neighbours import norms_of
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import PlanFinding

PAIRS = (("self_attn.v_proj", "self_attn.o_proj"), ("mlp.up_proj", "mlp.down_proj"))
ROWS = 4  # that are looked at of a layer
ALLOWED = 0.08  # how far from one an output's factor may be: rounding to four bits changes it by 0.01
ALIKE = 0.6  # least correlation with the base's weights; below it nothing can be said


@dataclass(frozen=True, kw_only=True)
class _Pair:
    first: Taken
    second: Taken
    norm: str  # before the first


def find_folded(
    mix: Mix, opened: Mapping[str, Checkpoint], taken: Iterable[Taken], assigned: Mapping[str, Assignment]
) -> list[Finding]:
    """MP637 for pairs of two sources of which one has scales between them; a warning where that cannot be seen.

    Weights are read only of sources whose norms are not the base's, and of some blocks for each source and kind of
    pair: a quantizer smooths all blocks in one way.
    """
    base = opened[BASE_SOURCE]
    parts = {part.module: part for part in taken}
    before = {partner: norm.module for norm in norms_of(assigned) for partner in norm.partners}
    split: dict[tuple[str, str], list[_Pair]] = {}
    for first, second, leaf in _split(parts):
        norm = before.get(first.module)
        for source in dict.fromkeys((first.source, second.source)):
            if norm is not None and source != BASE_SOURCE:
                split.setdefault((source, leaf), []).append(_Pair(first=first, second=second, norm=norm))
    findings = []
    for (source, _), pairs in split.items():
        checkpoint = opened[source]
        if not any(_smoothed(checkpoint, base, pair.norm) for pair in pairs):
            continue
        sampled = [pairs[at] for at in sorted({0, len(pairs) // 2, len(pairs) - 1})]
        found = [_factors(pair, checkpoint, base) for pair in sampled]
        known = [factors for factors in found if factors is not None]
        scaled = next((factors for factors in known if _scaled(factors)), ())
        if scaled or not known:
            findings.append(_finding(mix, source, pairs, assigned, factors=scaled))
    return findings


def _split(parts: Mapping[str, Taken]) -> Iterator[tuple[Taken, Taken, str]]:
    for module, part in parts.items():
        for leaf, following in PAIRS:
            if module.endswith(f".{leaf}"):
                second = parts.get(module.removesuffix(leaf) + following)
                if second is not None and second.source != part.source:
                    yield part, second, leaf


def _smoothed(checkpoint: Checkpoint, base: Checkpoint, norm: str) -> bool:
    own, its = base.of_module(norm).get("weight"), checkpoint.of_module(norm).get("weight")
    return own is not None and its is not None and differ(own, its)


def _factors(pair: _Pair, checkpoint: Checkpoint, base: Checkpoint) -> tuple[float, ...] | None:
    """By what some outputs of the first were multiplied, smoothing of its inputs taken out; None: it cannot be said."""
    module = pair.first.module
    own, its = base.of_module(pair.norm).get("weight"), checkpoint.of_module(pair.norm).get("weight")
    if own is None or its is None or {own.dtype, its.dtype} - FLOATS:
        return None
    ratios = [
        b / a if a else 1.0
        for a, b in zip(numbers(read_bytes(own), own.dtype), numbers(read_bytes(its), its.dtype), strict=True)
    ]
    plain, packed = _read(base, module), _read(checkpoint, module)
    if plain is None or packed is None or plain.weights.shape != packed.weights.shape:
        return None
    found = []
    out = plain.weights.shape[0]
    for row in range(0, out, max(1, out // ROWS)):
        one, other = (read_row(each.weights.format, each.weights.shape, each.tensors, row) for each in (plain, packed))
        if one is None or other is None or len(one) != len(ratios) or len(other) != len(ratios):
            return None
        other = tuple(value * ratio for value, ratio in zip(other, ratios, strict=True))
        product, size, length = _dot(one, other), _dot(one, one), _dot(other, other)
        if not size or not length or not product / (size * length) ** 0.5 >= ALIKE:
            return None
        found.append(product / size)
    return tuple(found)


def _read(checkpoint: Checkpoint, module: str) -> Taken | None:
    from mixprec_runtime.checkpoint.formats import MalformedModule, read_module

    tensors = checkpoint.of_module(module)
    weights = read_module(tensors, checkpoint.quantization, module=module) if tensors else None
    if weights is None or isinstance(weights, MalformedModule):
        return None
    return Taken(module=module, source="", weights=weights, tensors=tensors, quantization=checkpoint.quantization)


def _dot(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _scaled(factors: tuple[float, ...]) -> bool:
    return any(abs(factor - 1) > ALLOWED for factor in factors)


def _finding(
    mix: Mix, source: str, pairs: list[_Pair], assigned: Mapping[str, Assignment], *, factors: tuple[float, ...]
) -> Finding:
    evidence = [f"outputs of the first, some of them: times {', '.join(f'{each:.2f}' for each in factors)}"] * bool(
        factors
    )
    for pair in pairs:
        one, other = pair.first.module, pair.second.module
        evidence.append(f"{one}: {assigned[one].reason}; {other}: {assigned[other].reason}")
    leaves = "|".join(part.module.rpartition(".")[2] for part in (pairs[0].first, pairs[0].second))
    has = "has scales" if factors else "may have scales"
    return PlanFinding(
        code="MP637",
        severity=Severity.ERROR if factors else Severity.WARNING,
        summary=f"{mix.source(source).mark}: source {source!r} {has} between layers of which one comes from elsewhere"
        f" ({len(pairs)})",
        cause="A quantizer that smooths divides the outputs of the first and multiplies the inputs of the second; each "
        "computes something else beside another checkpoint's layer.",
        evidence=tuple(evidence),
        remedy=Remedy(text=f"Let both come from one source: 're:.*\\.({leaves})$'; or take one without smoothing."),
        modules=tuple((pair.first.module, pair.second.module) for pair in pairs),
    )
