"""A small engine with the forms that vLLM's kernels have: lists by platform, choosers, configs and linear methods."""

from __future__ import annotations

from pathlib import Path

from mixprec_doctor.kernels.engine import EngineKernels
from mixprec_doctor.records.machine import Accelerator, Machine
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.source.sources import Sources

INTERFACE = """
import enum
from typing import NamedTuple

class PlatformEnum(enum.Enum):
    CUDA = enum.auto()
    CPU = 2

class CpuArchEnum(enum.Enum):
    X86 = 1
    ARM = 2

class DeviceCapability(NamedTuple):
    major: int
    minor: int

    def to_int(self):
        return self.major * 10 + self.minor

class Platform:
    _enum: PlatformEnum

    def is_cuda(self):
        return self._enum == PlatformEnum.CUDA

    def is_cpu(self):
        return self._enum == PlatformEnum.CPU

    @classmethod
    def get_device_capability(cls, device_id=0):
        return None

class UnspecifiedPlatform(Platform):
    _enum = None
"""

CPU = """
import torch
from .interface import Platform, PlatformEnum

class CpuPlatform(Platform):
    _enum = PlatformEnum.CPU

    @classmethod
    def import_kernels(cls):
        if torch.cpu._is_avx512_supported():
            import vllm._C
        else:
            try:
                import vllm._C_AVX2
            except ImportError:
                pass
"""

CUDA = """
from .interface import Platform, PlatformEnum

class NvmlCudaPlatform(Platform):
    _enum = PlatformEnum.CUDA

    @classmethod
    def import_kernels(cls):
        import vllm._C
"""

PLATFORMS = """
from .interface import Platform, PlatformEnum

def __getattr__(name):
    if name == "current_platform":
        raise RuntimeError("asked of the machine that runs this")
    raise AttributeError(name)
"""

LISTS = """
from dataclasses import dataclass
import importlib.util
import torch
from vllm import _custom_ops as ops
from vllm.platforms import PlatformEnum, current_platform

@dataclass
class LayerConfig:
    full_weight_shape: tuple
    partition_weight_shape: tuple
    group_size: int
    act_type: torch.dtype

class Kernel:
    def __init__(self, c, w_q_param_name):
        self.config = c

    def process_weights_after_loading(self, layer):
        pass

class HopperKernel(Kernel):
    @classmethod
    def get_min_capability(cls):
        return 90

    @classmethod
    def can_implement(cls, c):
        if c.partition_weight_shape[0] % 128 != 0:
            return False, f"in_features {c.partition_weight_shape[0]} must be divisible by 128"
        return True, None

    def apply_weights(self, layer, x, bias=None):
        return ops.hopper_mm(x, layer.qweight)

class MarlinKernel(HopperKernel):
    @classmethod
    def get_min_capability(cls):
        return 80

    @classmethod
    def can_implement(cls, c):
        if not current_platform.is_cuda():
            return False, "only on CUDA"
        return c.group_size in (-1, 64, 128), f"group {c.group_size}"

class LibraryKernel(MarlinKernel):
    @classmethod
    def can_implement(cls, c):
        if importlib.util.find_spec("conch") is None:
            return False, "conch is not installed"
        return True, None

class CpuKernel(Kernel):
    @classmethod
    def get_min_capability(cls):
        return -1

    @classmethod
    def can_implement(cls, c):
        return (True, None) if current_platform.is_cpu() else (False, "only on a CPU")

    def apply_weights(self, layer, x, bias=None):
        if x.dtype == torch.float16:
            return ops.cpu_half(x)
        return ops.cpu_gemm(x, layer.qweight)

_POSSIBLE_KERNELS: dict[PlatformEnum, list[type]] = {
    PlatformEnum.CUDA: [HopperKernel, MarlinKernel, LibraryKernel],
    PlatformEnum.CPU: [CpuKernel],
}

def choose_mp_linear_kernel(config, compute_capability=None):
    if compute_capability is None:
        _cc = current_platform.get_device_capability()
        if _cc is not None:
            compute_capability = _cc[0] * 10 + _cc[1]
    reasons = []
    for kernel in _POSSIBLE_KERNELS.get(current_platform._enum, []):
        if compute_capability is not None and kernel.get_min_capability() > compute_capability:
            reasons.append(f"{kernel.__name__} requires capability {kernel.get_min_capability()}")
            continue
        can_implement, reason = kernel.can_implement(config)
        if can_implement:
            return kernel
        reasons.append(reason)
    raise ValueError("no kernel: " + "".join(reasons))
"""

OPS = """
import torch

def hopper_mm(x, w):
    return torch.ops._C.hopper_mm(x, w)

def cpu_gemm(x, w):
    return torch.ops._C.cpu_gemm(x, w)

def cpu_half(x):
    return torch.ops._C.cpu_half(x)
"""

BASE = """
class QuantizationConfig:
    pass

class QuantizeMethodBase:
    pass

class LinearMethodBase(QuantizeMethodBase):
    pass
"""

LINEAR = """
import torch
from vllm.model_executor.layers.quantization.base_config import LinearMethodBase

class LinearBase(torch.nn.Module):
    pass

class UnquantizedLinearMethod(LinearMethodBase):
    def create_weights(self, layer, input_size_per_partition, output_partition_sizes, input_size, output_size,
                       params_dtype, **extra_weight_attrs):
        layer.register_parameter("weight", torch.empty(sum(output_partition_sizes), input_size_per_partition))

    def process_weights_after_loading(self, layer):
        pass

    def apply(self, layer, x, bias=None):
        return torch.nn.functional.linear(x, layer.weight, bias)
"""

GPTQ = """
import torch
from vllm.model_executor.layers.linear import LinearBase
from vllm.model_executor.layers.quantization.base_config import LinearMethodBase, QuantizationConfig
from vllm.model_executor.kernels.linear import LayerConfig, choose_mp_linear_kernel

class GPTQMarlinConfig(QuantizationConfig):
    def __init__(self, weight_bits, group_size):
        if weight_bits not in (4, 8):
            raise ValueError(f"Unsupported bits: {weight_bits}")
        self.weight_bits = weight_bits
        self.group_size = group_size

    @classmethod
    def get_name(cls):
        return "gptq_marlin"

    @classmethod
    def get_supported_act_dtypes(cls):
        return [torch.half, torch.bfloat16]

    @classmethod
    def get_min_capability(cls):
        return 75

    @classmethod
    def from_config(cls, config):
        return cls(config["bits"], config["group_size"])

    @classmethod
    def override_quantization_method(cls, hf_quant_cfg, user_quant):
        return cls.get_name() if hf_quant_cfg["quant_method"] == "gptq" else None

    def get_quant_method(self, layer, prefix):
        if isinstance(layer, LinearBase):
            return GPTQMarlinLinearMethod(self)
        return None

class GPTQMarlinLinearMethod(LinearMethodBase):
    def __init__(self, quant_config):
        self.quant_config = quant_config

    def create_weights(self, layer, input_size_per_partition, output_partition_sizes, input_size, output_size,
                       params_dtype, **extra_weight_attrs):
        group = self.quant_config.group_size
        config = LayerConfig(
            full_weight_shape=(input_size, output_size),
            partition_weight_shape=(input_size_per_partition, sum(output_partition_sizes)),
            group_size=group, act_type=params_dtype,
        )
        kernel_type = choose_mp_linear_kernel(config)
        if group != -1 and input_size_per_partition % group != 0:
            raise ValueError(f"{input_size_per_partition} is not divisible by group {group}")
        layer.register_parameter("qweight", torch.empty(input_size_per_partition // 8, sum(output_partition_sizes)))
        self.kernel = kernel_type(config, w_q_param_name="qweight")

    def process_weights_after_loading(self, layer):
        self.kernel.process_weights_after_loading(layer)

    def apply(self, layer, x, bias=None):
        return self.kernel.apply_weights(layer, x, bias)
"""

FILES = {
    "__init__.py": "",
    "_custom_ops.py": OPS,
    "platforms/__init__.py": PLATFORMS,
    "platforms/interface.py": INTERFACE,
    "platforms/cpu.py": CPU,
    "platforms/cuda.py": CUDA,
    "model_executor/__init__.py": "",
    "model_executor/kernels/__init__.py": "",
    "model_executor/kernels/linear/__init__.py": LISTS,
    "model_executor/layers/__init__.py": "",
    "model_executor/layers/linear.py": LINEAR,
    "model_executor/layers/quantization/__init__.py": "",
    "model_executor/layers/quantization/base_config.py": BASE,
    "model_executor/layers/quantization/gptq_marlin.py": GPTQ,
}


def write_engine(folder: Path, **changes: str) -> Path:
    """The engine below a folder; ``changes`` are further texts or other ones, by a key of FILES with _ for / and dots."""
    names = {name.replace("/", "_").replace(".", "_"): name for name in FILES}
    files = {**FILES, **{names.get(key, key): text for key, text in changes.items()}}
    for name, text in files.items():
        file = folder / "vllm" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def kernels_of(folder: Path, *, build: str | None = None) -> EngineKernels:
    """The engine's kernels, with the libraries that lie beside its source."""
    source = EngineSource(Sources.of_folder(folder), find_layout("vllm"))
    return EngineKernels(source, root=folder / "vllm", build=build)


def write_library(folder: Path, name: str, *schemas: str) -> None:
    """A file that holds schemas of operators as an extension does."""
    text = b"\x7fELF\0" + b"".join(b"\0" + schema.encode() + b"\0" for schema in schemas)
    (folder / "vllm" / name).write_bytes(text)


def machine(capability: str | None = None, *flags: str) -> Machine:
    """A machine with one GPU of a compute capability, or with a CPU alone."""
    gpus = () if capability is None else (
        Accelerator(name="GPU", compute_capability=capability, memory_bytes=80 * 2**30, driver=None),
    )  # fmt: skip
    return Machine(
        system="Linux", architecture="x86_64", cpu="CPU", cpu_flags=("avx2", *flags), cores=2, memory_bytes=2**34,
        accelerators=gpus,
    )  # fmt: skip
