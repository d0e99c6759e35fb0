"""Trials of kernels with vLLM's own layers and loading path; called in a child process before any engine starts."""

from __future__ import annotations

__all__ = ["VllmBench", "work"]

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    LinearBase,
    MergedColumnParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.platforms import current_platform

from mixprec_doctor.kernels.portable import PORTABLE, refusals
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.bookkeeping import module_bytes
from mixprec_runtime.adapters.layers import TrialLayer
from mixprec_runtime.adapters.trials import NoKernel, Tried, run_trials
from mixprec_runtime.adapters.vllm.engineconfig import engine_config, kept_from
from mixprec_runtime.adapters.vllm.methods import kernel_name, method_name
from mixprec_runtime.adapters.vllm.portable_method import PortableLinearMethod
from mixprec_runtime.adapters.vllm.scene import scene

FUSED = {
    ("q_proj", "k_proj", "v_proj"): "qkv_proj",
    ("gate_proj", "up_proj"): "gate_up_proj",
}
"""What models of the engine call their fused layers; configs may name these. Any other gets a name of ours."""
SILENT = frozenset({"g_idx", "weight_g_idx", "weight_shape", "qzeros", "weight_zero_point"})
"""Tensors that an engine may leave out for a format that does not need them; the numbers tell if it did."""


class VllmBench:
    """Makes, loads and runs single layers of the engine."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.dtype_name = dtype
        self.device = device
        self.configs: dict[str, QuantizationConfig | None] = {}

    def native(self, layer: TrialLayer, without: Sequence[str]) -> Tried:
        """The engine's own choice among all kernels but some. Raises NoKernel."""
        if layer.folder not in self.configs:
            self.configs[layer.folder] = engine_config(layer.folder)
        config = self.configs[layer.folder]
        try:
            with kept_from(without):
                made = self._make(layer.shape, config, layer.unit, bias=layer.bias is not None)
        except ValueError as fault:
            if "Failed to find a kernel" in str(fault):
                raise NoKernel(str(fault)) from fault
            raise
        _load(made, layer)
        return self._tried(made)

    def portable(self, layer: TrialLayer, kernel: str) -> Tried:
        """A portable kernel behind a linear method of ours."""
        config = _Given(PortableLinearMethod(kernel, layer.format, layer.stored))
        made = self._make(layer.shape, config, layer.unit, bias=layer.bias is not None)
        _load(made, layer)
        return self._tried(made)

    def refusals(self, layer: TrialLayer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The portable kernels best first, with why they cannot serve the layer here."""
        capability = current_platform.get_device_capability()
        wanted = {name for kernel in PORTABLE for each in kernel.demands.values() for name in each.operators}
        operators = {name for name in wanted if hasattr(torch.ops.aten, name)}
        device = "rocm" if current_platform.is_rocm() else self.device.type
        for kernel in PORTABLE:
            if layer.format.kind not in kernel.kinds:
                continue
            yield (
                kernel.name,
                refusals(
                    kernel, layer.format, layer.shape, dtype=self.dtype_name, device=device,
                    capability=capability.to_int() if capability is not None else None, operators=operators,
                ),
            )  # fmt: skip

    def plain(self, shape: LinearShape) -> Tried:
        """The same shape without any quantization."""
        made = self._make(shape, None, tuple(f"plain.{at}_proj" for at in range(len(shape.outputs))), bias=False)
        with torch.no_grad():
            made.weight.normal_(std=0.02)
        return self._tried(made)

    def _make(
        self, shape: LinearShape, config: QuantizationConfig | None, unit: Sequence[str], *, bias: bool
    ) -> LinearBase:
        prefix = unit[0]
        named: dict[str, Any] = {"bias": bias, "params_dtype": self.dtype, "quant_config": config}
        if len(unit) > 1:
            parent, leaves = unit[0].rpartition(".")[0], tuple(name.rpartition(".")[2] for name in unit)
            fused = FUSED.get(leaves, "fused_proj")
            prefix = f"{parent}.{fused}" if parent else fused
            if config is not None:
                config.packed_modules_mapping = {fused: list(leaves)}
        with self.device, torch.no_grad():
            if len(shape.outputs) > 1:
                return MergedColumnParallelLinear(shape.inputs, list(shape.outputs), prefix=prefix, **named)
            kind = {"row": RowParallelLinear, "column": ColumnParallelLinear}.get(shape.partition, ReplicatedLinear)
            return kind(shape.inputs, shape.outputs[0], prefix=prefix, **named)

    def _tried(self, made: LinearBase) -> Tried:
        def finish() -> None:
            with torch.no_grad(), self.device:
                made.quant_method.process_weights_after_loading(made)

        return Tried(
            run=lambda x: _first(made(x)),
            finish=finish,
            kernel=lambda: kernel_name(made),
            method=lambda: method_name(made).partition(" ")[0],
            held_bytes=lambda: module_bytes(made, set()),
        )


class _Given(QuantizationConfig):
    """A config that has one method to give."""

    def __init__(self, method: QuantizeMethodBase) -> None:
        super().__init__()
        self.method = method

    @classmethod
    def get_name(cls) -> str:
        return "mixprec-given"

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.half, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Given:
        raise NotImplementedError

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase:
        return self.method


def _first(found: object) -> torch.Tensor:
    first = found[0] if isinstance(found, tuple) else found
    assert isinstance(first, torch.Tensor)  # noqa: S101  linear layers give it, alone or with a bias
    return first


def _load(made: LinearBase, layer: TrialLayer) -> None:
    """Every tensor through its parameter's own loader. Raises ValueError for what has no place or was not filled."""
    parameters = dict(made.named_parameters(recurse=False))
    filled = set()
    for number, part in enumerate(layer.parts):
        for suffix, tensor in part.items():
            parameter = parameters.get(suffix)
            if parameter is None:
                if suffix in SILENT:
                    continue
                raise ValueError(f"the engine's layer has no parameter for the checkpoint's {suffix}")
            shard = (number,) if len(layer.parts) > 1 else ()
            parameter.weight_loader(parameter, tensor, *shard)
            filled.add(suffix)
    if missing := sorted(name for name, parameter in parameters.items() if parameter.numel() and name not in filled):
        raise ValueError(f"the checkpoint fills no {', '.join(missing)} of the engine's layer")


def work(*, layers: Sequence[Mapping[str, Any]], dtype: str, scratch: str) -> Iterator[dict[str, Any]]:
    """Try each layer's candidates; ``scratch`` is a folder that whoever called this removes."""
    tempfile.tempdir = scratch
    with scene(dtype) as device:
        yield {"stage": "ready", "device": device.type}
        yield from run_trials(layers, VllmBench(dtype, device))
