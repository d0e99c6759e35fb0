"""The entrance: what stands in vLLM's table of quantization methods until there is a mixture to serve.

The engine asks every class of that table about every quantized model, so this one imports nothing beyond its base.
"""

from __future__ import annotations

__all__ = ["MixprecEntrance"]

from typing import Any

from vllm.model_executor.layers.quantization.base_config import QuantizationConfig

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
        """The config of a run folder, with the loaders that feed its model registered in this process.

        Raises EngineLacks where this release of the engine takes no loaders from others.
        """
        from mixprec_runtime.adapters.vllm.doors import open_doors
        from mixprec_runtime.adapters.vllm.quantization import MixprecConfig

        open_doors()
        return MixprecConfig.from_config(config)
