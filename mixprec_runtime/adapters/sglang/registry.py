"""The name ``mixprec`` in SGLang's tables of quantization methods; the engine has no function for that."""

from __future__ import annotations

__all__ = ["register_config"]

from sglang.srt.layers import quantization

from mixprec_runtime.adapters.sglang.entrance import MixprecEntrance
from mixprec_runtime.method import METHOD

TABLES = ("QUANTIZATION_METHODS", "BASE_QUANTIZATION_METHODS", "CPU_QUANTIZATION_METHODS")


def register_config() -> None:
    """Add the quantization method to each table that this release has; may be called any number of times."""
    for table in TABLES:
        getattr(quantization, table, {}).setdefault(METHOD, MixprecEntrance)
