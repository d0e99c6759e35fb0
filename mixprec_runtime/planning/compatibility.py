"""Whether a source is a checkpoint of the base model at all: the config keys that fix every shape."""

from __future__ import annotations

__all__ = ["SHAPING_KEYS", "compare"]

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import Source

SHAPING_KEYS = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size",
)  # fmt: skip


def compare(source: Source, checkpoint: Checkpoint, base: Checkpoint) -> Finding | None:
    """The finding for a source whose config differs from the base's where shapes depend on it."""
    wanted, found = language_config(base.config), language_config(checkpoint.config)
    pairs = {key: (wanted.get(key), found.get(key)) for key in SHAPING_KEYS}
    pairs["model_type"] = (base.config.get("model_type"), checkpoint.config.get("model_type"))
    differing = tuple(
        f"{key}: base {first!r}, source {second!r}"
        for key, (first, second) in pairs.items()
        if first is not None and second is not None and first != second
    )
    if not differing:
        return None
    return Finding(
        code="MP614",
        severity=Severity.ERROR,
        summary=f"{source.mark}: source {source.name!r} is no checkpoint of the base model",
        cause="Its config describes other shapes or another vocabulary.",
        evidence=differing,
        remedy=Remedy(text=f"Name a quantized checkpoint of the base model instead of {checkpoint.path}."),
    )
