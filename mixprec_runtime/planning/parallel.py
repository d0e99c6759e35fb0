"""Whether ranks can share the model of a plan at all: heads, extents, and what must not be cut in two.

An engine finds these faults while it makes its layers, on each rank and in its own words, or not at all: a group of
inputs that two ranks would share is cut, and one of them computes with another group's scale. What is demanded
here is what the parameters of vLLM's layers, and of the portable ones, can hold; a kernel may demand more: it is tried.
"""

from __future__ import annotations

__all__ = ["find_split_faults", "rank_counts"]

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.planning.ranks import VOCABULARY_PADDING, Split, cut_of
from mixprec_runtime.planning.units import FUSED, Unit
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import LayerPlan, PlanFinding

WORD = 32  # bits of the words that codes are packed in
MOST_RANKS = 64
ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"})
NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")
SUMMARIES = {
    "MP647": "modules cannot be shared by {ranks} ranks in equal parts",
    "MP648": "the vocabulary cannot be shared by {ranks} ranks in equal parts",
    "MP649": "{ranks} ranks would cut what must stay whole in source {source!r}",
    "MP651": "the parts of fused modules do not end where blocks of source {source!r} end",
}


@dataclass(frozen=True, kw_only=True)
class _Fault:
    code: str
    source: str
    module: str
    text: str


def find_split_faults(mix: Mix, layers: Sequence[LayerPlan], units: Sequence[Unit], split: Split) -> list[Finding]:
    """MP645 to MP652: why so many ranks or stages cannot share the model, with what would do."""
    kinds = _distinct(layers)
    allowed = rank_counts(kinds, split)
    findings = [*_heads(split, allowed), *_stages(split)]
    found: dict[tuple[str, str], list[_Fault]] = {}
    for fault in _faults(layers, units, split):
        found.setdefault((fault.code, fault.source), []).append(fault)
    for (code, source), faults in found.items():
        findings.append(
            PlanFinding(
                code=code,
                severity=Severity.WARNING if code == "MP651" else Severity.ERROR,
                cause="The engine's own kernels refuse such layers; a portable one serves them, more slowly."
                if code == "MP651"
                else "",
                summary=f"{mix.source(source).mark}: {SUMMARIES[code].format(ranks=split.ranks, source=source)}"
                f" ({len(faults)})",
                evidence=tuple(_evidence(faults)),
                remedy=Remedy(text=_remedy(code, source, faults, allowed)),
                modules=tuple((fault.module,) for fault in faults),
            )
        )
    return findings


def rank_counts(layers: Sequence[LayerPlan], split: Split) -> tuple[int, ...]:
    """The numbers of tensor-parallel ranks that can share these layers."""
    most = min(split.heads or MOST_RANKS, MOST_RANKS)
    counts = (replace(split, ranks=ranks) for ranks in range(1, most + 1))
    return tuple(each.ranks for each in counts if not _headless(each) and not any(_of_layers(layers, each)))


def _headless(split: Split) -> str | None:
    """The code of what keeps the heads from being shared; None where they can be."""
    if split.heads and split.heads % split.ranks:
        return "MP645"
    shared, ranks = split.key_value_heads, split.ranks
    return "MP646" if shared and max(shared, ranks) % min(shared, ranks) else None


def _heads(split: Split, allowed: tuple[int, ...]) -> Iterator[Finding]:
    ranks, shared = split.ranks, split.key_value_heads or 0
    if code := _headless(split):
        first = code == "MP645"
        what = f"{split.heads} attention heads" if first else f"{shared} key/value heads"
        yield Finding(
            code=code,
            severity=Severity.ERROR,
            summary=f"{what} cannot be shared by {ranks} ranks",
            cause="Every rank holds the same number of attention heads."
            if first
            else "Every rank holds the same number of key/value heads, or every head lies on the same number of ranks.",
            evidence=(
                f"config.json: num_attention_heads {split.heads}, num_key_value_heads {split.key_value_heads}",
                f"tensor_parallel_size {ranks}",
            ),
            remedy=Remedy(
                text=f"Serve it on {_listed(allowed)}; or share its layers in place of its heads: "
                f"tensor_parallel_size 1 and pipeline_parallel_size {ranks}."
            ),
        )
    elif 0 < shared < ranks:
        yield Finding(
            code="MP650",
            severity=Severity.INFO,
            summary=f"{shared} key/value heads on {ranks} ranks: each lies on {ranks // shared} of them",
            cause="Keys, values and their cache are held in copies; the numbers of bytes per rank count them.",
        )


def _stages(split: Split) -> Iterator[Finding]:
    if split.layers and split.stages > split.layers:
        yield Finding(
            code="MP652",
            severity=Severity.ERROR,
            summary=f"{split.layers} layers cannot be shared by {split.stages} pipeline stages",
            cause="A stage holds whole layers, at least one.",
            remedy=Remedy(text=f"Set pipeline_parallel_size to {split.layers} at most."),
        )


def _distinct(layers: Iterable[LayerPlan]) -> list[LayerPlan]:
    kinds: dict[tuple[object, ...], LayerPlan] = {}
    for layer in layers:
        kinds.setdefault((NUMBER.sub("*", layer.layer), layer.source, layer.format, layer.shape), layer)
    return list(kinds.values())


def _faults(layers: Sequence[LayerPlan], units: Sequence[Unit], split: Split) -> Iterator[_Fault]:
    if _headless(split):
        layers = [layer for layer in layers if layer.layer.rpartition(".")[2] not in ATTENTION]
    yield from _of_layers(layers, split)
    if split.ranks == 1:
        yield from _of_units(layers, units)


def _of_layers(layers: Sequence[LayerPlan], split: Split) -> Iterator[_Fault]:
    for layer in layers:
        cut = cut_of(layer.layer)
        if split.ranks == 1 or cut == "whole" or len(layer.shape) != 2:
            continue
        if cut == "vocabulary":
            padded = -(-layer.shape[0] // VOCABULARY_PADDING) * VOCABULARY_PADDING
            if padded % split.ranks:
                yield _fault("MP648", layer, f"{layer.shape[0]} tokens, padded to {padded}, on {split.ranks} ranks")
            continue
        extent, name = (layer.shape[0], "outputs") if cut == "column" else (layer.shape[-1], "inputs")
        parts = split.parts(layer.layer)
        if extent % parts:
            yield _fault("MP647", layer, f"{extent} {name} on {split.ranks} ranks")
            continue
        for step, what in _steps(layer.format, cut):
            if extent // parts % step:
                yield _fault("MP649", layer, f"{extent // parts} {name} for each rank are no multiple of {what}")


def _steps(form: Format, cut: str) -> Iterator[tuple[int, str]]:
    """Numbers of inputs or outputs that cannot be cut in two, with what they are."""
    word = WORD // gcd(WORD, form.bits)
    words = f"the {word} codes of {form.bits} bits that are packed together"
    if cut == "column":
        zeros = form.kind is FormatKind.PACKED and form.symmetric is False
        if form.kind in (FormatKind.AWQ, FormatKind.GPTQ) or zeros:
            yield word, words
        if form.block:
            yield form.block[0], f"the {form.block[0]} outputs of a block"
        return
    if form.kind in (FormatKind.GPTQ, FormatKind.PACKED):
        yield word, words
    if form.group and not form.act_order:  # with act-order every rank holds the scales of all groups
        yield form.group, f"the group size {form.group}"
    if form.block:
        yield form.block[1], f"the {form.block[1]} inputs of a block"


def _of_units(layers: Sequence[LayerPlan], units: Sequence[Unit]) -> Iterator[_Fault]:
    """One rank cuts nothing, but each part of a fused module except the last must end with a block."""
    by_name = {layer.layer: layer for layer in layers}
    for unit in units:
        for member in unit.members[:-1]:
            layer = by_name.get(member)
            if layer is not None and layer.format.block and layer.shape[0] % layer.format.block[0]:
                yield _fault(
                    "MP651",
                    layer,
                    f"{layer.shape[0]} outputs are no multiple of the {layer.format.block[0]} of a block",
                )


def _fault(code: str, layer: LayerPlan, text: str) -> _Fault:
    return _Fault(code=code, source=layer.source, module=layer.layer, text=text)


def _evidence(faults: Iterable[_Fault]) -> Iterator[str]:
    """One line for modules of one name in different layers."""
    counts: dict[tuple[str, str], int] = {}
    for fault in faults:
        family = NUMBER.sub("*", fault.module)
        counts[family, fault.text] = counts.get((family, fault.text), 0) + 1
    for (family, text), count in counts.items():
        yield f"{family}{f' ({count})' if count > 1 else ''}: {text}"


def _remedy(code: str, source: str, faults: Sequence[_Fault], allowed: tuple[int, ...]) -> str:
    others = [] if code == "MP651" else [f"Serve it on {_listed(allowed)}"]
    if code in ("MP649", "MP651"):
        kind = "with blocks that fit" if code == "MP651" or "block" in faults[0].text else "with smaller groups"
        others.append(f"take these modules from a source {kind}, or in another format")
        if source != BASE_SOURCE:
            rule = f"{{targets: ['re:.*\\.({'|'.join(_leaves(faults))})$'], source: model}}"
            others.append(f"let a rule before the others keep the base's: {rule}")
    text = "; or ".join(others)
    return f"{text[0].upper()}{text[1:]}."


def _leaves(faults: Sequence[_Fault]) -> Iterator[str]:
    """The names that a rule must move, with those of their units: an engine keeps these in one parameter."""
    found = dict.fromkeys(fault.module.rpartition(".")[2] for fault in faults)
    units = {part: parts for _, parts in FUSED for part in parts}
    yield from dict.fromkeys(part for leaf in found for part in units.get(leaf, (leaf,)))


def _listed(counts: tuple[int, ...]) -> str:
    words = [str(count) for count in counts]
    if len(words) < 2:
        return "1 rank"
    return f"{', '.join(words[:-1])} or {words[-1]} ranks"
