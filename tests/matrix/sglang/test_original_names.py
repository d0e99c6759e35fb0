"""The names of the original system on live models of a real SGLang; without a GPU portable kernels compute."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.register_assert_rewrite("tests.matrix.names_judged")

import mixprec_runtime as mixprec  # noqa: E402
from tests.matrix.names_judged import NamesOnAnEngine  # noqa: E402
from tests.matrix.original_names import answers, write_checkpoints  # noqa: E402

pytestmark = pytest.mark.engine

MODELS = {"llama": ("llama", "LlamaForCausalLM"), "qwen2": ("qwen2", "Qwen2ForCausalLM")}


@pytest.fixture(scope="module")
def make(device: torch.device) -> Callable[[Path], torch.nn.Module]:
    """Make a model as the engine's loader does; asking its registry would import every model that it has."""
    from sglang.srt.configs.model_config import ModelConfig

    def made(folder: Path) -> torch.nn.Module:
        config = ModelConfig(model_path=str(folder), dtype="bfloat16", model_override_args="{}").hf_config
        module, name = MODELS[config.model_type]
        with device:
            model: torch.nn.Module = getattr(importlib.import_module(f"sglang.srt.models.{module}"), name)(config)
        return model

    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], torch.nn.Module]) -> dict[str, Any]:
    from sglang.srt.layers.linear import LinearBase

    root = tmp_path_factory.mktemp("names")
    write_checkpoints(root)
    portable = not torch.cuda.is_available()
    told = {"bound": mixprec.bind(), **answers(make, LinearBase, root, portable=portable)}
    answered: dict[str, Any] = json.loads(json.dumps(told))  # as another process would hand them over
    return answered


class TestNamesOnSglang(NamesOnAnEngine):
    """All rules, with SGLang's classes and loaders."""
