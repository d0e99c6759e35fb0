"""What each rank holds of a module: ranks of tensor parallelism, in stages of pipeline parallelism.

Megatron's split, which both engines use: q, k, v, gate and up are cut along their outputs, o and down along
their inputs, embedding and output head along the vocabulary, which engines pad; everything else is held by every rank.
Key and value heads fewer than the ranks are held in several copies. A stage holds whole decoder layers.
"""

from __future__ import annotations

__all__ = ["AXES", "COLUMN", "ROW", "VOCABULARY", "VOCABULARY_PADDING", "WHOLE", "Split", "bytes_per_rank", "cut_of"]

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.records.checkpoint import TensorHeader

COLUMN = frozenset({"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "qkv_proj", "gate_up_proj", "fc1"})
ROW = frozenset({"o_proj", "down_proj", "out_proj", "fc2"})
EXPERT_COLUMN, EXPERT_ROW = frozenset({"w1", "w3"}), frozenset({"w2"})  # experts as Mixtral names them
VOCABULARY = frozenset({"embed_tokens", "lm_head"})
VOCABULARY_PADDING = 64  # engines pad the vocabulary to a multiple of it before they share it
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)(?:\.|$)")

# Axis of a tensor that runs along the outputs and along the inputs of the module; None: it has no such axis.
AXES: Mapping[FormatKind, Mapping[str, tuple[int | None, int | None]]] = {
    FormatKind.GPTQ: {"qweight": (1, 0), "qzeros": (1, 0), "scales": (1, 0), "g_idx": (None, 0), "bias": (0, None)},
    FormatKind.AWQ: {"qweight": (1, 0), "qzeros": (1, 0), "scales": (1, 0), "bias": (0, None)},
    FormatKind.PACKED: {
        "weight_packed": (0, 1), "weight_scale": (0, 1), "weight_zero_point": (0, 1), "weight_g_idx": (None, 0),
        "weight_shape": (None, None), "bias": (0, None),
    },
}  # fmt: skip
WHOLE: Mapping[str, tuple[int | None, int | None]] = {
    "weight": (0, 1), "weight_scale": (0, 1), "weight_scale_inv": (0, 1), "weight_zero_point": (0, 1),
    "bias": (0, None),
}  # fmt: skip
ORDER = frozenset({"g_idx", "weight_g_idx"})
PER_GROUP = frozenset({"scales", "qzeros", "weight_scale", "weight_zero_point"})


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a model is shared, and what of its config decides that; None where the config does not say."""

    ranks: int = 1
    stages: int = 1
    heads: int | None = None
    key_value_heads: int | None = None
    layers: int | None = None
    tied: bool = False

    @classmethod
    def of(cls, config: Mapping[str, object], *, ranks: int = 1, stages: int = 1) -> Split:
        """The split of a model with this ``config.json``; one of several modalities has its text model's keys."""
        keys = language_config(config)
        heads = _count(keys.get("num_attention_heads"))
        return cls(
            ranks=ranks,
            stages=stages,
            heads=heads,
            key_value_heads=_count(keys.get("num_key_value_heads")) or heads,
            layers=_count(keys.get("num_hidden_layers")),
            tied=keys.get("tie_word_embeddings") is True,
        )

    @property
    def world(self) -> int:
        """Ranks of all stages together."""
        return self.ranks * self.stages

    def parts(self, module: str) -> int:
        """Into how many different parts the ranks cut a module's axis; fewer than ranks where parts are copied."""
        copied = module.rpartition(".")[2] in ("k_proj", "v_proj") and self.key_value_heads
        return min(self.ranks, self.key_value_heads) if copied and self.key_value_heads else self.ranks

    def stages_of(self, module: str) -> frozenset[int]:
        """The stages that hold a module: the embedding is in the first, what comes after the layers in the last."""
        if self.stages == 1:
            return frozenset({0})
        if found := LAYER.search(module):
            return frozenset({self._stage(int(found[1]))})
        if module.rpartition(".")[2] in ("embed_tokens", "wte", "word_embeddings"):
            return frozenset({0, self.stages - 1} if self.tied else {0})
        return frozenset({self.stages - 1})

    def _stage(self, layer: int) -> int:
        """As vLLM shares layers (``get_pp_indices``): what is left over goes to the stages before the last."""
        each, left = divmod(self.layers or 0, self.stages)
        end = 0
        for stage in range(self.stages):
            end += each + (self.stages - 1 - left <= stage < self.stages - 1)
            if layer < end:
                return stage
        return self.stages - 1


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def cut_of(module: str) -> str:
    """How ranks share a module: ``column`` (outputs), ``row`` (inputs), ``vocabulary``, or ``whole``."""
    leaf = module.rpartition(".")[2]
    expert = ".experts." in module
    if leaf in COLUMN or (expert and leaf in EXPERT_COLUMN):
        return "column"
    if leaf in ROW or (expert and leaf in EXPERT_ROW):
        return "row"
    return "vocabulary" if leaf in VOCABULARY else "whole"


def bytes_per_rank(module: str, fmt: Format, tensors: Mapping[str, TensorHeader], split: Split) -> tuple[int, ...]:
    """Bytes that each rank holds, those of the first stage first; what is held in copies counts for each copy."""
    cut = cut_of(module)
    held = sum(_held(suffix, tensor, fmt, cut, split.parts(module)) for suffix, tensor in tensors.items())
    stages = split.stages_of(module)
    return tuple(held if stage in stages else 0 for stage in range(split.stages) for _ in range(split.ranks))


def _held(suffix: str, tensor: TensorHeader, fmt: Format, cut: str, parts: int) -> int:
    if suffix in ORDER and not fmt.act_order:
        return 0  # it only counts the groups up; nothing keeps it
    out_axis, in_axis = AXES.get(fmt.kind, WHOLE).get(suffix, (None, None))
    axis = {"column": out_axis, "vocabulary": out_axis, "row": in_axis}.get(cut)
    if axis is None or axis >= len(tensor.shape) or tensor.shape[axis] <= 1:
        return tensor.nbytes
    if cut == "vocabulary":
        rows = tensor.shape[axis]
        return -(-rows // VOCABULARY_PADDING) * VOCABULARY_PADDING * (tensor.nbytes // rows) // parts
    if cut == "row" and fmt.act_order and suffix in PER_GROUP:
        return tensor.nbytes  # groups that act-order scatters over all inputs
    return -(-tensor.nbytes // parts)
