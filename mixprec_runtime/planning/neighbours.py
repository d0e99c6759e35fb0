"""Neighbours: the norms of a model, and the linear layers that each of them belongs to.

Quantizers that smooth (AWQ, SmoothQuant) divide a norm by what they multiply the weights behind it with, so that a norm
and the layers that read it are one thing. Which layers those are follows from the names that decoders of transformers
give: a norm before the attention, one before the feed-forward part, and in some models one behind each.
"""

from __future__ import annotations

__all__ = ["Norm", "norms_of"]

from collections.abc import Iterable
from dataclasses import dataclass

FIRST = frozenset({"input_layernorm", "ln_1", "attention_norm", "attn_norm", "self_attn_layer_norm", "norm1"})
SECOND = frozenset(
    {"post_attention_layernorm", "pre_feedforward_layernorm", "pre_mlp_layernorm", "ln_2", "ffn_norm", "norm2"}
)
BEHIND_FEED = frozenset({"post_feedforward_layernorm", "post_mlp_layernorm"})
BEHIND_ATTENTION = frozenset({"post_attention_layernorm", "post_self_attn_layernorm"})
LAST = frozenset({"norm", "ln_f", "final_layernorm", "final_layer_norm", "norm_f"})
INSIDE = {
    "q_norm": ("q_proj", "qkv_proj"), "k_norm": ("k_proj", "qkv_proj"), "v_norm": ("v_proj", "qkv_proj"),
    "q_a_layernorm": ("q_b_proj",), "kv_a_layernorm": ("kv_b_proj",),
}  # fmt: skip
"""Norms inside an attention, and the layers beside them whose numbers they scale or whose inputs they make."""
ATTENTION = frozenset(
    {
        "q_proj", "k_proj", "v_proj", "qkv_proj", "q_a_proj", "kv_a_proj_with_mqa", "query_key_value", "c_attn",
        "W_pack", "Wqkv", "in_proj_qkvz", "in_proj_ba", "in_proj", "wq", "wk", "wv", "wqkv",
    }
)  # fmt: skip
FEED = frozenset(
    {
        "gate_proj", "up_proj", "gate_up_proj", "gate", "router", "shared_expert_gate", "experts", "w1", "w3", "fc1",
        "c_fc", "dense_h_to_4h",
    }
)  # fmt: skip
HEADS = frozenset({"lm_head", "output", "embed_out", "output_layer"})


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A norm and the linear modules that it belongs to, mostly those whose inputs it makes."""

    module: str
    partners: tuple[str, ...]


def norms_of(modules: Iterable[str]) -> tuple[Norm, ...]:
    """The norms among the modules with the partners that are there; norms of which none is known are left out."""
    names = tuple(dict.fromkeys(modules))
    blocks: dict[str, list[str]] = {}
    for name in names:
        if (block := _block(name)) is not None:
            blocks.setdefault(block, []).append(name)
    norms = [norm for block, inside in blocks.items() for norm in _of_block(block, inside)]
    heads = tuple(name for name in names if _leaf(name) in HEADS and _block(name) is None)
    norms += [Norm(module=name, partners=heads) for name in names if _block(name) is None and _leaf(name) in LAST]
    return tuple(norm for norm in norms if norm.partners)


def _of_block(block: str, inside: list[str]) -> list[Norm]:
    leaves = {_leaf(name) for name in inside if name.rpartition(".")[0] == block}
    attention = tuple(name for name in inside if _leaf(name) in ATTENTION)
    feed = tuple(name for name in inside if _leaf(name) in FEED and name not in attention)
    behind = bool(leaves & BEHIND_FEED)
    apart = bool(leaves & SECOND - (BEHIND_ATTENTION if behind else frozenset()))
    norms = []
    for name in inside:
        parent, _, leaf = name.rpartition(".")
        if leaf in INSIDE:
            partners = tuple(beside for part in INSIDE[leaf] if (beside := f"{parent}.{part}") in inside)
        elif parent != block:
            continue
        elif leaf in FIRST:
            partners = attention if apart or behind else attention + feed  # both read it where blocks are parallel
        elif behind and leaf in BEHIND_FEED | BEHIND_ATTENTION:
            ends = ("o_proj", "out_proj") if leaf in BEHIND_ATTENTION else ("down_proj", "fc2", "w2")
            partners = tuple(each for each in inside if _leaf(each) in ends)
        elif leaf in SECOND:
            partners = feed
        else:
            continue
        norms.append(Norm(module=name, partners=partners))
    return norms


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _block(name: str) -> str | None:
    """The numbered block that a module is in: ``model.layers.3`` of ``model.layers.3.mlp.experts.1.w1``."""
    parts = name.split(".")
    at = next((at for at, part in enumerate(parts) if part.isdecimal()), None)
    return ".".join(parts[: at + 1]) if at is not None and at + 1 < len(parts) else None
