"""These tests run inside SGLang; where it is not installed none of them is collected."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

collect_ignore_glob = [] if importlib.util.find_spec("sglang") else ["test_*.py"]


@pytest.fixture(scope="session")
def device() -> Iterator[torch.device]:
    """Surroundings in which models of the engine can be made in this process, here on a CPU too."""
    import torch

    from mixprec_runtime.adapters.sglang.registry import register_config
    from mixprec_runtime.adapters.sglang.scene import scene
    from tests.matrix.sglang.early import with_a_capability, with_a_config_of_vllm
    from tests.matrix.sglang.rotary import without_the_operator

    register_config()
    with scene("bfloat16") as found:
        if not torch.cuda.is_available():
            without_the_operator()
            with_a_capability()
            with_a_config_of_vllm()
        yield found


@pytest.fixture(scope="session")
def load(device: torch.device) -> Callable[[Path], torch.nn.Module]:
    """Load a run folder as the engine does, with the loader of mixtures."""
    from sglang.srt.configs.device_config import DeviceConfig
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.configs.model_config import ModelConfig

    from mixprec_runtime.adapters.sglang.loader import MixprecModelLoader

    def loaded(folder: Path) -> torch.nn.Module:
        model = ModelConfig(model_path=str(folder), dtype="bfloat16", model_override_args="{}")
        return MixprecModelLoader(LoadConfig()).load_model(model_config=model, device_config=DeviceConfig(device.type))

    return loaded
