"""Whether a source is a checkpoint of the base model at all: the config keys that fix every shape."""

from __future__ import annotations

__all__ = ["SHAPING_KEYS", "compare"]

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import Source

SHAPING_KEYS = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "num_local_experts", "num_experts",
)  # fmt: skip


def compare(source: Source, checkpoint: Checkpoint, base: Checkpoint) -> Finding | None:
    """The finding for a source whose config differs from the base's where shapes depend on it."""
    differing = tuple(
        f"{key}: base {base.config[key]!r}, source {checkpoint.config[key]!r}"
        for key in SHAPING_KEYS
        if base.config.get(key) is not None
        and checkpoint.config.get(key) is not None
        and base.config[key] != checkpoint.config[key]
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
