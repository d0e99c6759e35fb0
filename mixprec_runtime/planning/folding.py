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

PAIRS = (("self_attn.v_proj", "self_attn.o_proj"), ("mlp.up_proj", "mlp.down_proj"))
ROWS = 8  # that are looked at of a layer
ALLOWED = 0.08  # how far from one an output's factor may be: rounding to four bits changes it by 0.01
ALIKE = 0.6  # least correlation with the base's weights; below it nothing can be said


@dataclass(frozen=True, kw_only=True)
class _Pair:
    first: Taken
    second: Taken
    factors: tuple[float, ...] | None  # of the first's outputs, by the source that was smoothed; None: unknown
    smoothed: str


def find_folded(
    mix: Mix, opened: Mapping[str, Checkpoint], taken: Iterable[Taken], assigned: Mapping[str, Assignment]
) -> list[Finding]:
    """MP637 for pairs of two sources of which one has scales between them; a warning where that cannot be seen.

    Weights are read only of sources whose norm before the pair is not the base's, and of one block for each source and
    kind of pair: a quantizer smooths all blocks in one way.
    """
    base = opened[BASE_SOURCE]
    parts = {part.module: part for part in taken}
    before = {partner: norm.module for norm in norms_of(parts.keys() | assigned.keys()) for partner in norm.partners}
    seen: dict[tuple[str, str], tuple[float, ...] | None] = {}
    pairs: list[_Pair] = []
    for first, second, leaf in _split(parts):
        for source in dict.fromkeys((first.source, second.source)):
            norm = before.get(first.module)
            if source == BASE_SOURCE or norm is None or not _smoothed(opened[source], base, norm):
                continue
            if (source, leaf) not in seen:
                seen[source, leaf] = _factors(first.module, norm, opened[source], base)
            pairs.append(_Pair(first=first, second=second, factors=seen[source, leaf], smoothed=source))
    folded = [pair for pair in pairs if pair.factors is not None and _scaled(pair.factors)]
    unknown = [pair for pair in pairs if pair.factors is None]
    return [
        *(_finding(mix, source, some, assigned, certain=True) for source, some in _by_source(folded)),
        *(_finding(mix, source, some, assigned, certain=False) for source, some in _by_source(unknown)),
    ]


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


def _factors(module: str, norm: str, checkpoint: Checkpoint, base: Checkpoint) -> tuple[float, ...] | None:
    """By what some outputs of a layer were multiplied, its inputs' smoothing taken out; None where nothing is known."""
    own, its = base.of_module(norm)["weight"], checkpoint.of_module(norm)["weight"]
    if {own.dtype, its.dtype} - FLOATS:
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


def _by_source(pairs: list[_Pair]) -> list[tuple[str, list[_Pair]]]:
    sources = dict.fromkeys(pair.smoothed for pair in pairs)
    return [(source, [pair for pair in pairs if pair.smoothed == source]) for source in sources]


def _finding(
    mix: Mix, source: str, pairs: list[_Pair], assigned: Mapping[str, Assignment], *, certain: bool
) -> Finding:
    evidence = []
    for pair in pairs:
        shown = ", ".join(f"{each:.2f}" for each in (pair.factors or ())[:4])
        factors = f" (outputs times {shown} ...)" if shown else ""
        one, other = pair.first.module, pair.second.module
        evidence.append(f"{one}{factors}: {assigned[one].reason}; {other}: {assigned[other].reason}")
    leaves = "|".join(dict.fromkeys(p.module.rpartition(".")[2] for pair in pairs for p in (pair.first, pair.second)))
    has = "has scales" if certain else "may have scales"
    return Finding(
        code="MP637",
        severity=Severity.ERROR if certain else Severity.WARNING,
        summary=f"{mix.source(source).mark}: source {source!r} {has} between layers of which one comes from elsewhere"
        f" ({len(pairs)})",
        cause="A quantizer that smooths divides the outputs of the first and multiplies the inputs of the second; each "
        "computes something else beside another checkpoint's layer.",
        evidence=tuple(evidence),
        remedy=Remedy(text=f"Let both come from one source: 're:.*\\.({leaves})$'; or take one without smoothing."),
    )
