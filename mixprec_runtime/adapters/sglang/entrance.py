"""The entrance: what stands in SGLang's tables of quantization methods until there is a mixture to serve.

The engine asks every class of those tables about every quantized model, so this one imports nothing beyond its base.
"""

from __future__ import annotations

__all__ = ["MixprecEntrance"]

from typing import Any

from sglang.srt.layers.quantization.base_config import QuantizationConfig

from mixprec_runtime.method import METHOD


class MixprecEntrance(QuantizationConfig):
    """Never made itself, and so without what is asked of objects: ``from_config`` gives a MixprecConfig."""

    @classmethod
    def get_name(cls) -> str:
        """The quantization method's name."""
        return METHOD

    @classmethod
    def get_min_capability(cls) -> int:
        """None of its own; each inner config is checked by the engine when it is made."""
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        """The config stands in config.json of the run folder."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """The config of a run folder."""
        from mixprec_runtime.adapters.sglang.quantization import MixprecConfig

        return MixprecConfig.from_config(config)
