"""Small engines as source: what a release of vLLM or SGLang looks like, with the parts that tests change."""

from __future__ import annotations

__all__ = ["SGLANG", "VLLM"]

_BASE = """
from abc import ABC, abstractmethod
class QuantizeMethodBase(ABC): ...
class LinearMethodBase(QuantizeMethodBase): ...
class QuantizationConfig(ABC):
    @classmethod
    @abstractmethod
    def from_config(cls, config): ...
"""
_LINEAR = """
from {quant}.base_config import LinearMethodBase
class UnquantizedLinearMethod(LinearMethodBase): ...
class LinearBase:
    def __init__(self, input_size: int, output_size: int, prefix: str = ""): ...
class ReplicatedLinear(LinearBase): ...
class ColumnParallelLinear(LinearBase): ...
class MergedColumnParallelLinear(ColumnParallelLinear): ...
class QKVParallelLinear(ColumnParallelLinear): ...
class RowParallelLinear(LinearBase): ...
"""


def _method(quant: str, name: str, stem: str) -> str:
    return f"""
from {quant}.base_config import LinearMethodBase, QuantizationConfig
class {stem}Config(QuantizationConfig):
    def __init__(self, weight_bits: int, group_size: int): ...
    @classmethod
    def get_name(cls): return "{name}"
    @classmethod
    def from_config(cls, config): return cls(config["bits"], config["group_size"])
    def get_quant_method(self, layer, prefix):
        return {stem}LinearMethod(self)
class {stem}LinearMethod(LinearMethodBase):
    def __init__(self, quant_config: {stem}Config): ...
"""


def _files(root: str, methods: dict[str, tuple[str, str]]) -> dict[str, str]:
    layers = f"{root}/layers"
    quant = f"{layers}/quantization".replace("/", ".")
    entries = ", ".join(f'"{name}": {stem}Config' for name, (_, stem) in methods.items())
    imports = "".join(f"from {quant}.{module} import {stem}Config\n" for module, stem in methods.values())
    files = {
        f"{layers}/__init__.py": "",
        f"{layers}/linear.py": _LINEAR.format(quant=quant),
        f"{layers}/quantization/base_config.py": _BASE,
        f"{layers}/quantization/__init__.py": (
            f"{imports}QUANTIZATION_METHODS = {{{entries}}}\n"
            "def get_quantization_config(quantization: str): return QUANTIZATION_METHODS[quantization]\n"
            "def register_quantization_config(quantization: str): ...\n"
        ),
    }
    for name, (module, stem) in methods.items():
        files[f"{layers}/quantization/{module}.py"] = _method(quant, name, stem)
    return files


_METHODS = {
    "fp8": ("fp8", "Fp8"),
    "gptq": ("gptq", "GPTQ"),
    "gptq_marlin": ("gptq_marlin", "GPTQMarlin"),
    "awq": ("awq", "AWQ"),
    "awq_marlin": ("awq_marlin", "AWQMarlin"),
}
_LOADER = """
def get_model_loader(load_config): ...
def register_model_loader(load_format: str): ...
class BaseModelLoader:
    def __init__(self, load_config): ...
class DefaultModelLoader(BaseModelLoader): ...
"""

VLLM: dict[str, str] = {
    "vllm/__init__.py": "",
    **_files("vllm/model_executor", _METHODS),
    "vllm/model_executor/__init__.py": "",
    "vllm/model_executor/layers/quantization/compressed_tensors/__init__.py": "",
    "vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py": (
        "class CompressedTensorsConfig:\n @classmethod\n def from_config(cls, config): ...\n"
    ),
    "vllm/model_executor/model_loader/__init__.py": _LOADER + "LoadFormats = ['auto']\n",
    "vllm/config/__init__.py": "from vllm.config.load import LoadConfig\nclass ModelConfig: ...\n",
    "vllm/config/load.py": "class LoadConfig: ...\n",
    "vllm/engine/arg_utils.py": "class EngineArgs: ...\nclass AsyncEngineArgs(EngineArgs): ...\n",
    "vllm/entrypoints/openai/api_server.py": "async def run_server(args): ...\n",
    "vllm/plugins/__init__.py": "def load_general_plugins(): ...\n",
}
SGLANG: dict[str, str] = {
    "sglang/__init__.py": "",
    **_files("sglang/srt", {**_METHODS, "blockwise_int8": ("blockwise_int8", "BlockInt8"),
                            "w8a8_int8": ("w8a8_int8", "W8A8Int8"), "w8a8_fp8": ("w8a8_fp8", "W8A8Fp8"),
                            "compressed-tensors": ("compressed_tensors", "CompressedTensors")}),
    "sglang/srt/model_loader/loader.py": _LOADER,
    "sglang/srt/configs/load_config.py": "class LoadFormat(str): ...\nclass LoadConfig: ...\n",
    "sglang/srt/configs/model_config.py": "class ModelConfig: ...\n",
    "sglang/srt/server_args.py": "class ServerArgs: ...\n",
    "sglang/srt/entrypoints/http_server.py": "def launch_server(server_args): ...\n",
}  # fmt: skip
