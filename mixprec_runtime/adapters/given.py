"""A quantization config that hands out one method: for a single layer on trial, the same for every engine."""

from __future__ import annotations

__all__ = ["GivenMethod"]

from typing import Any, NoReturn

import torch


class GivenMethod:
    """What engines ask of a config, answered for one method; stands before the engine's own base class."""

    def __init__(self, method: Any) -> None:  # noqa: ANN401  a linear method of whichever engine
        super().__init__()
        self.method = method

    @classmethod
    def get_name(cls) -> str:
        """A name that no checkpoint uses."""
        return "mixprec-given"

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """Those that trials are made with."""
        return [torch.bfloat16, torch.half, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        """None of its own."""
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        """It is read from no file."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NoReturn:
        """Raises TypeError: engines read configs of checkpoints, and this is of none."""
        raise TypeError(f"{cls.__name__} is made for a layer on trial, not read from a config with {sorted(config)}")

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> Any:  # noqa: ANN401
        """The method, whatever the layer."""
        return self.method

    def get_scaled_act_names(self) -> list[str]:
        """None."""
        return []
