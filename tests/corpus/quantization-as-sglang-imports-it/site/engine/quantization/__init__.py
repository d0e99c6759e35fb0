from __future__ import annotations

import builtins
import inspect
from typing import Callable, Dict, Optional, Type, Union

try:
    from vllm.model_executor.layers.quantization.aqlm import AQLMConfig
    from vllm.model_executor.layers.quantization.gptq import GPTQConfig

    VLLM_AVAILABLE = True
except ImportError:
    VLLM_AVAILABLE = False

    class DummyConfig:
        def override_quantization_method(self, *args, **kwargs):
            return None

    AQLMConfig = GPTQConfig = DummyConfig

from engine.awq import AWQConfig
from engine.fp8 import Fp8Config

BASE: Dict[str, Type] = {"fp8": Fp8Config, "awq": AWQConfig}
if VLLM_AVAILABLE:
    BASE.update({"gptq": GPTQConfig})


def get_quantization_config(quantization: str) -> Type:
    return BASE[quantization]
