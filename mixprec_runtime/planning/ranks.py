"""Bytes that each tensor-parallel rank holds of a module.

Megatron's split, which both engines use: q, k, v, gate and up are cut along their outputs, o and down along
their inputs, embedding and output head along the vocabulary; everything else is held by every rank. Key and value
heads fewer than the ranks are held in several copies.
"""

from __future__ import annotations

__all__ = ["bytes_per_rank"]

from collections.abc import Mapping

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.records.checkpoint import TensorHeader

COLUMN = frozenset({"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "qkv_proj", "gate_up_proj", "fc1"})
ROW = frozenset({"o_proj", "down_proj", "out_proj", "fc2"})
VOCABULARY = frozenset({"embed_tokens", "lm_head"})

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


def bytes_per_rank(
    module: str,
    fmt: Format,
    tensors: Mapping[str, TensorHeader],
    *,
    ranks: int,
    key_value_heads: int | None,
) -> tuple[int, ...]:
    """Bytes of each rank; the sum exceeds the file's bytes by what is held in copies."""
    leaf = module.rpartition(".")[2]
    held = 0
    for suffix, tensor in tensors.items():
        out_axis, in_axis = AXES.get(fmt.kind, WHOLE).get(suffix, (None, None))
        axis = out_axis if leaf in COLUMN | VOCABULARY else in_axis if leaf in ROW else None
        parts = ranks
        if leaf in ("k_proj", "v_proj") and key_value_heads:
            parts = min(ranks, key_value_heads)
        cut = axis is not None and axis < len(tensor.shape) and tensor.shape[axis] > 1
        held += -(-tensor.nbytes // parts) if cut else tensor.nbytes
    return (held,) * ranks
