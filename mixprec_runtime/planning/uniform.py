"""The same model with every linear layer from one checkpoint: what a mixture is compared with. Headers only."""

from __future__ import annotations

__all__ = ["Uniform", "uniform_models"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_runtime.checkpoint.errors import CheckpointError
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import MalformedModule, ModuleWeights, read_module
from mixprec_runtime.planning.cachescales import is_cache_scale
from mixprec_runtime.planning.experts import spread
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.planning.modules import is_derived, is_linear
from mixprec_runtime.planning.ranks import Split, bytes_per_rank
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
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
    split = Split.of(base.config, ranks=len(plan.layers[0].bytes_per_rank) // plan.stages, stages=plan.stages)
    reader = _Reader(opened, {(layer.source, layer.layer): layer for layer in plan.layers}, split)
    weights = {module: own for module in base.modules if (own := reader.weights(BASE_SOURCE, module))}
    return tuple(_uniform(name, weights, reader) for name in opened)


def _opened(source: Source) -> Checkpoint | None:
    try:
        return open_checkpoint(source.path)
    except CheckpointError:
        return None


class _Reader:
    """Modules of the sources as layers of a plan; those that the mixture's own plan has are taken from it."""

    def __init__(
        self, opened: Mapping[str, Checkpoint], planned: Mapping[tuple[str, str], LayerPlan], split: Split
    ) -> None:
        self.opened = opened
        self.base = opened[BASE_SOURCE]
        self._layers: dict[tuple[str, str], LayerPlan | None] = dict(planned)
        self._split = split

    def weights(self, source: str, module: str) -> ModuleWeights | None:
        """What a source has under that name; None for nothing, or nothing that is known."""
        tensors = self._own(source, module)
        if not tensors:
            return None
        found = read_module(tensors, self.opened[source].quantization, module=module)
        return None if isinstance(found, MalformedModule) else found

    def layer(self, source: str, module: str, shape: tuple[int, ...]) -> LayerPlan | None:
        """The module as that source has it; None where it has none of that shape."""
        if (source, module) not in self._layers:
            self._layers[source, module] = self._read(source, module, shape)
        return self._layers[source, module]

    def _read(self, source: str, module: str, shape: tuple[int, ...]) -> LayerPlan | None:
        found = self.weights(source, module)
        if found is None or found.shape != shape:
            return None
        tensors = self._own(source, module)
        if "bias" not in self.base.of_module(module):
            tensors.pop("bias", None)  # AutoGPTQ's zeros; planning looks whether they are any
        return LayerPlan(
            layer=module,
            source=source,
            format=found.format,
            shape=found.shape,
            tensors=tuple(tensors.values()),
            bytes_per_rank=bytes_per_rank(module, found.format, tensors, self._split),
        )

    def _own(self, source: str, module: str) -> dict[str, TensorHeader]:
        tensors = self.opened[source].of_module(module)
        return {
            suffix: tensor
            for suffix, tensor in tensors.items()
            if not is_derived(tensor.name, self.base.config) and not is_cache_scale(tensor.name)
        }


def _uniform(name: str, weights: Mapping[str, ModuleWeights], reader: _Reader) -> Uniform:
    vocab = language_config(reader.base.config).get("vocab_size")
    size = vocab if isinstance(vocab, int) else None
    linear = {module for module, found in weights.items() if is_linear(module, found, vocab_size=size)}
    chosen = {module: name if module in linear else BASE_SOURCE for module in weights}
    layers: dict[str, LayerPlan] = {}
    taken: list[str] = []
    kept: list[str] = []
    for module, (stack, plain) in spread(weights, chosen, reader.opened).items():
        found = reader.layer(chosen[stack], module, plain.shape)
        if stack in linear:
            (taken if found else kept).append(module)
        whole = weights[stack]
        if found := found or reader.layer(BASE_SOURCE, stack, whole.shape):
            layers[found.layer] = found
    return Uniform(source=name, layers=layers, taken=tuple(taken), kept=tuple(kept))
