"""Scales of the key-value cache: they come from where the attention's keys and values come from, when they are used.

Checkpoints of FP8 tools hold them beside the attention or beside its projections, under several names; engines know
these names and take the scales for a cache in FP8 only.
"""

from __future__ import annotations

__all__ = ["NUMBER", "CacheScales", "is_cache_scale", "plan_cache_scales", "projections"]

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from math import prod

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import PlanFinding

NAME = re.compile(
    r"(?P<attention>.+?)"
    r"(?:\.(?:attn|mla_attn|mla_attn\.mla_attn|[qkv]_proj|qkv_proj|qkqkv_proj))??"
    r"\.(?P<what>[qkv]_scale|kv_scale|prob_scale|[qkv]_zero_point|prob_output_scale|[qkv]_proj\.output_scale)"
)
ENDINGS = (
    "q_scale", "k_scale", "v_scale", "prob_scale", "output_scale", "q_zero_point", "k_zero_point", "v_zero_point",
)  # fmt: skip
"""Of all names that ``NAME`` means; most tensors have another, and there may be a hundred thousand."""
KEYS = ("k_proj", "qkv_proj", "kv_b_proj", "query_key_value", "W_pack", "Wqkv", "c_attn")
VALUES = ("v_proj",)
NUMBER = Format(kind=FormatKind.PLAIN, bits=32, dtype="F32")
"""The format of a scale."""


def is_cache_scale(name: str) -> bool:
    """Whether a tensor belongs to the key-value cache, not to a layer's weights."""
    return name.endswith(ENDINGS) and NAME.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class CacheScales:
    """The scales of one attention and the source that they come from; ``attention`` is a checkpoint name."""

    attention: str
    source: str
    tensors: Mapping[str, TensorHeader]


def plan_cache_scales(
    mix: Mix, opened: Mapping[str, Checkpoint], assigned: Mapping[str, Assignment]
) -> tuple[tuple[CacheScales, ...], tuple[Finding, ...]]:
    """The scales of all attentions where the mix serves with a cache in FP8; none, and a note, where it does not."""
    held = {source: _held(checkpoint) for source, checkpoint in opened.items()}
    known = [_Attention.of(name, assigned) for name in dict.fromkeys(name for each in held.values() for name in each)]
    found = [each for each in known if each is not None and (held[each.keys].get(each.name) or _split(each, held))]
    if not _wanted(mix):
        left = {each.keys: [a.name for a in found if a.keys == each.keys] for each in found}
        return (), tuple(_left_out(mix, source, names) for source, names in left.items())
    findings: list[Finding] = []
    if split := [each for each in found if _split(each, held)]:
        findings.append(_from_two(split, assigned))
    scales = tuple(
        CacheScales(attention=each.name, source=each.keys, tensors=held[each.keys][each.name])
        for each in found
        if each not in split
    )
    if several := [each for each in scales if any(prod(t.shape) != 1 for t in each.tensors.values())]:
        findings.append(_per_head(several, assigned))
    if scales and (without := _without(assigned, {each.name for each in found})):
        findings.append(_default_scales(without))
    return scales, tuple(findings)


@dataclass(frozen=True, kw_only=True)
class _Attention:
    name: str
    keys: str  # sources
    values: str

    @classmethod
    def of(cls, name: str, assigned: Mapping[str, Assignment]) -> _Attention | None:
        """The attention of that name, if the model has it."""
        keys, values = (
            next((assigned[full].source for part in parts if (full := f"{name}.{part}") in assigned), None)
            for parts in (KEYS, (*VALUES, *KEYS))
        )
        return cls(name=name, keys=keys, values=values) if keys is not None and values is not None else None


Held = Mapping[str, Mapping[str, Mapping[str, TensorHeader]]]


def _held(checkpoint: Checkpoint) -> dict[str, dict[str, TensorHeader]]:
    """Scales by attention; zero points, which are zeros and which no engine uses, are left out."""
    scales: dict[str, dict[str, TensorHeader]] = {}
    for name, header in checkpoint.tensors.items():
        if name.endswith("_zero_point") or not name.endswith(ENDINGS):
            continue
        if (match := NAME.fullmatch(name)) is not None:
            scales.setdefault(match["attention"], {})[name] = header
    return scales


def _split(attention: _Attention, held: Held) -> bool:
    """Whether keys and values have two sources of which one has scales."""
    if attention.keys == attention.values:
        return False
    return any(attention.name in held.get(source, {}) for source in (attention.keys, attention.values))


def _wanted(mix: Mix) -> bool:
    said = mix.cache_dtype
    return said.startswith("fp8") and "e5m2" not in said and not said.endswith("per_token_head")


def projections(attention: str, modules: Container[str]) -> tuple[str, ...]:
    """The modules that make keys and values of an attention, those of the keys first."""
    return tuple(full for part in (*KEYS, *VALUES) if (full := f"{attention}.{part}") in modules)


def _without(assigned: Mapping[str, Assignment], scaled: set[str]) -> list[str]:
    attentions = dict.fromkeys(
        module.rpartition(".")[0] for module in assigned if module.rpartition(".")[2] in ("k_proj", "qkv_proj")
    )
    return [name for name in attentions if name not in scaled]


def _left_out(mix: Mix, source: str, attentions: list[str]) -> Finding:
    return Finding(
        code="MP639",
        severity=Severity.INFO,
        summary=f"{mix.source(source).mark}: scales of the key-value cache in source {source!r} are left out"
        f" ({len(attentions)})",
        cause="They are for a cache in FP8, and this mixture is served with a cache in another type.",
        evidence=tuple(attentions),
        remedy=Remedy(text="To use them: `serve: {kv_cache_dtype: fp8}`."),
    )


def _from_two(attentions: list[_Attention], assigned: Mapping[str, Assignment]) -> Finding:
    return PlanFinding(
        code="MP639",
        severity=Severity.ERROR,
        summary=f"keys and values of attentions have two sources, of which one has scales of the key-value cache"
        f" ({len(attentions)})",
        cause="An engine keeps the scales of keys and values in one place, from one calibration.",
        evidence=tuple(f"{each.name}: keys from {each.keys}, values from {each.values}" for each in attentions),
        remedy=Remedy(text="Let k_proj and v_proj come from one source, or leave kv_cache_dtype out."),
        modules=tuple(projections(each.name, assigned) for each in attentions),
    )


def _per_head(scales: list[CacheScales], assigned: Mapping[str, Assignment]) -> Finding:
    return PlanFinding(
        code="MP639",
        severity=Severity.ERROR,
        summary=f"scales of the key-value cache stand for single heads ({len(scales)})",
        cause="Engines take such scales only where the whole model has them, and a mixture does not.",
        evidence=tuple(f"{each.attention}: source {each.source}" for each in scales),
        remedy=Remedy(text="Take them from a source with one scale for all heads, or leave kv_cache_dtype out."),
        modules=tuple(projections(each.attention, assigned) for each in scales),
    )


def _default_scales(attentions: list[str]) -> Finding:
    return Finding(
        code="MP639",
        severity=Severity.INFO,
        summary=f"the sources of some attentions have no scales of the key-value cache ({len(attentions)})",
        cause="The engine takes one as their scale, as it does for a checkpoint without scales.",
        evidence=tuple(attentions),
    )
