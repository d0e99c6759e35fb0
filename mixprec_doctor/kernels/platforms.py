"""Platforms: what an engine finds out about its device while it runs, given to the evaluator beforehand."""

from __future__ import annotations

__all__ = ["furnish", "set_layer"]

import contextlib
from functools import partial

from mixprec_doctor.kernels.device import Device
from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.values import Builtin, Class, External, Instance, Raised, Unknown
from mixprec_doctor.records.workload import LinearShape

_PLATFORMS = {
    "cuda": (("vllm.platforms.cuda", "NvmlCudaPlatform"), ("vllm.platforms.cuda", "CudaPlatformBase")),
    "rocm": (("vllm.platforms.rocm", "RocmPlatform"),),
    "cpu": (("vllm.platforms.cpu", "CpuPlatform"),),
    None: (("vllm.platforms.interface", "UnspecifiedPlatform"),),
}
_ARCHITECTURES = {"x86_64": "X86", "amd64": "X86", "aarch64": "ARM", "arm64": "ARM", "ppc64le": "POWERPC"}
_INTERFACE = "vllm.platforms.interface"


def _fixed(name: str, value: object) -> Builtin:
    return Builtin(name, lambda *_: value)


def furnish(ev: Evaluator, device: Device, *, vllm: bool) -> None:
    """Tell the evaluator what the device is and what a single process of the engine finds around it.

    ``vllm``: the engine is vLLM, or takes from it and has no platforms of its own.
    """
    ev.overrides |= {
        "logger": External("logging.logger"),
        "get_tensor_model_parallel_rank": _fixed("get_tensor_model_parallel_rank", 0),
        "get_current_vllm_config_or_none": _fixed("get_current_vllm_config_or_none", None),
        "get_attention_tp_rank": _fixed("get_attention_tp_rank", 0),
    }
    if vllm:
        ev.overrides["current_platform"] = _vllm_platform(ev, device)


def set_layer(ev: Evaluator, shape: LinearShape, dtype: str) -> None:
    """Tell the evaluator of the ranks that share a layer, and of the type of activations."""
    ranks = max(1, shape.full_inputs // max(shape.inputs, 1), sum(shape.full_outputs) // max(shape.out, 1))
    torch_dtype = External(f"torch.{dtype}")
    ev.outside.dtype = dtype
    model = Instance(None, {"dtype": torch_dtype}, open=True, name="model_config")

    def config(*_: object) -> Instance:
        given: dict[str, object] = {"model_config": model, "compilation_config": _compilation(ev)}
        return Instance(None, given, open=True, name="vllm_config")

    ev.overrides |= {
        "get_tensor_model_parallel_world_size": _fixed("get_tensor_model_parallel_world_size", ranks),
        "get_attention_tp_size": _fixed("get_attention_tp_size", ranks),
        "get_current_vllm_config": Builtin("get_current_vllm_config", config),
        "get_cached_compilation_config": Builtin("get_cached_compilation_config", lambda *_: _compilation(ev)),
    }


def _compilation(ev: Evaluator) -> Instance:
    """How vLLM compiles: with its own operators when it runs eagerly, without them under torch.compile."""
    eager = ev.truth(Unknown("whether the engine runs eagerly (--enforce-eager)"))
    given: dict[str, object] = {
        "custom_ops": ["all" if eager else "none"],
        "enabled_custom_ops": [],
        "disabled_custom_ops": [],
    }
    mode = ev.text(f"CompilationMode.{'NONE' if eager else 'VLLM_COMPILE'}", "vllm.config.compilation")
    if isinstance(mode, Instance):
        given["mode"] = mode
    return Instance(None, given, open=True, name="compilation_config")


def _vllm_platform(ev: Evaluator, device: Device) -> object:
    """An object of the engine's own platform class; only what the hardware says is put in its place."""
    for module, name in _PLATFORMS[device.kind]:
        found = ev.once(partial(ev.names.look_up, module, name))
        if isinstance(found, Class):
            found.given |= _hardware(ev, device)
            with contextlib.suppress(Raised):
                return ev.once(partial(ev.call, found, []))
    return Unknown("current_platform")


def _hardware(ev: Evaluator, device: Device) -> dict[str, object]:
    given: dict[str, object] = {}
    if device.kind == "cuda":
        capability: object = Unknown("the compute capability")
        if device.capability is not None:
            major, minor = device.capability
            capability = ev.text(f"DeviceCapability({major}, {minor})", _INTERFACE)
        given["get_device_capability"] = _fixed("get_device_capability", capability)
        given["get_device_name"] = _fixed("get_device_name", device.name or Unknown("the name of the GPU"))
        memory = device.memory_bytes or Unknown("the memory of the GPU")
        given["get_device_total_memory"] = _fixed("get_device_total_memory", memory)
        given["device_count"] = _fixed("device_count", device.count)
    kind = _ARCHITECTURES.get((device.architecture or "").lower())
    if kind is not None:
        architecture = ev.text(f"CpuArchEnum.{kind}", _INTERFACE)
        if isinstance(architecture, Instance):
            given["get_cpu_architecture"] = _fixed("get_cpu_architecture", architecture)
    return given
