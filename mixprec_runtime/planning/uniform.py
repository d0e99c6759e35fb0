"""The same model with every linear layer from one checkpoint: what a mixture is compared with. Headers only."""

from __future__ import annotations

__all__ = ["Uniform", "uniform_models"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_runtime.checkpoint.errors import CheckpointError
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import MalformedModule, ModuleWeights, read_module
from mixprec_runtime.planning.modules import is_derived, is_linear
from mixprec_runtime.planning.ranks import Split, bytes_per_rank
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Source
from mixprec_runtime.records.plan import LayerPlan, Plan


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """The layers of the whole model as one source would give them; ``kept`` are linear ones that it lacks."""

    source: str
    layers: Mapping[str, LayerPlan]
    taken: tuple[str, ...]
    kept: tuple[str, ...]


def uniform_models(mix: Mix, plan: Plan) -> tuple[Uniform, ...]:
    """One for each source of the mix, the base model first; what cannot be opened is left out, as plans report it."""
    opened = {source.name: found for source in (mix.model, *mix.sources.values()) if (found := _opened(source))}
    base = opened.get(BASE_SOURCE)
    if base is None or not plan.layers:
        return ()
    world = len(plan.layers[0].bytes_per_rank)
    split = Split.of(base.config, ranks=world // plan.stages, stages=plan.stages)
    own = {layer.layer: _layer(layer, BASE_SOURCE, base, base, split) for layer in plan.layers}
    return tuple(_uniform(name, source, base, plan, own, split) for name, source in opened.items())


def _opened(source: Source) -> Checkpoint | None:
    try:
        return open_checkpoint(source.path)
    except CheckpointError:
        return None


def _uniform(
    name: str,
    source: Checkpoint,
    base: Checkpoint,
    plan: Plan,
    own: Mapping[str, LayerPlan | None],
    split: Split,
) -> Uniform:
    layers: dict[str, LayerPlan] = {}
    taken: list[str] = []
    kept: list[str] = []
    for layer in plan.layers:
        kind = ModuleWeights(format=layer.format, shape=layer.shape)
        vocab = base.config.get("vocab_size")
        linear = is_linear(layer.layer, kind, vocab_size=vocab if isinstance(vocab, int) else None)
        known = own[layer.layer] if name == BASE_SOURCE else None
        found = (known or _layer(layer, name, source, base, split)) if linear else None
        if linear:
            (taken if found else kept).append(layer.layer)
        if chosen := found or own[layer.layer]:
            layers[layer.layer] = chosen
    return Uniform(source=name, layers=layers, taken=tuple(taken), kept=tuple(kept))


def _layer(like: LayerPlan, name: str, source: Checkpoint, base: Checkpoint, split: Split) -> LayerPlan | None:
    """The same module as this source has it; None where it has none of that shape."""
    if like.source == name:
        return like
    tensors = {s: t for s, t in source.of_module(like.layer).items() if not is_derived(t.name, base.config)}
    found = read_module(tensors, source.quantization, module=like.layer) if tensors else None
    if found is None or isinstance(found, MalformedModule) or found.shape != like.shape:
        return None
    if "bias" not in base.of_module(like.layer):
        tensors.pop("bias", None)  # AutoGPTQ's zeros; planning looks whether they are any
    return LayerPlan(
        layer=like.layer,
        source=name,
        format=found.format,
        shape=found.shape,
        tensors=tuple(tensors.values()),
        bytes_per_rank=bytes_per_rank(like.layer, found.format, tensors, split),
    )
