"""Skeleton: a model of transformers whose parameters have no memory until weights are brought."""

from __future__ import annotations

__all__ = ["skeleton"]

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module, Parameter
from transformers import AutoConfig, AutoModelForCausalLM


def skeleton(folder: Path) -> Any:  # noqa: ANN401  transformers is untyped
    """The float32 model of a folder's ``config.json``. What it computes itself (rotary tables) is there."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with _without_memory():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _without_memory() -> Iterator[None]:
    """Parameters go to the meta device as they are registered; buffers stay, since their values are computed here."""
    register = Module.register_parameter

    def registered(module: Module, name: str, param: Parameter | None) -> None:
        register(module, name, param)
        if param is not None:
            module._parameters[name] = Parameter(param.detach().to("meta"), requires_grad=False)

    Module.register_parameter = registered
    try:
        yield
    finally:
        Module.register_parameter = register
