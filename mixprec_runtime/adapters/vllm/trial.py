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
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig

from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.bookkeeping import module_bytes
from mixprec_runtime.adapters.given import GivenMethod
from mixprec_runtime.adapters.layers import TrialLayer
from mixprec_runtime.adapters.making import first, load, named
from mixprec_runtime.adapters.trials import NoKernel, Tried, run_trials
from mixprec_runtime.adapters.vllm.engineconfig import engine_config, kept_from
from mixprec_runtime.adapters.vllm.methods import kernel_name, method_name
from mixprec_runtime.adapters.vllm.portable_method import PortableLinearMethod, refusals_here
from mixprec_runtime.adapters.vllm.scene import scene


class VllmBench:
    """Makes, loads and runs single layers of the engine."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self.dtype: torch.dtype = getattr(torch, dtype)
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
        load(made, layer)
        return self._tried(made)

    def portable(self, layer: TrialLayer, kernel: str) -> Tried:
        """A portable kernel behind a linear method of ours."""
        config = _Given(PortableLinearMethod(kernel, layer.format, layer.stored))
        made = self._make(layer.shape, config, layer.unit, bias=layer.bias is not None)
        load(made, layer)
        return self._tried(made)

    def refusals(self, layer: TrialLayer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The portable kernels best first, with why they cannot serve the layer here."""
        yield from refusals_here(layer, self.dtype)

    def plain(self, shape: LinearShape) -> Tried:
        """The same shape without any quantization."""
        made = self._make(shape, None, tuple(f"plain.{at}_proj" for at in range(len(shape.outputs))), bias=False)
        with torch.no_grad():
            made.weight.normal_(std=0.02)
        return self._tried(made)

    def _make(
        self, shape: LinearShape, config: QuantizationConfig | None, unit: Sequence[str], *, bias: bool
    ) -> LinearBase:
        name = named(unit)
        if config is not None and name.packed:
            config.packed_modules_mapping = dict(name.packed)
        asked = unit[0] if getattr(config, "dynamic", None) else name.prefix  # as a mixture's config asks it
        given: dict[str, Any] = {
            "bias": bias, "params_dtype": self.dtype, "quant_config": config, "prefix": asked,
        }  # fmt: skip
        with self.device, torch.no_grad():
            if len(shape.outputs) > 1:
                return MergedColumnParallelLinear(shape.inputs, list(shape.outputs), **given)
            kind = {"row": RowParallelLinear, "column": ColumnParallelLinear}.get(shape.partition, ReplicatedLinear)
            return kind(shape.inputs, shape.outputs[0], **given)

    def _tried(self, made: LinearBase) -> Tried:
        def finish() -> None:
            with torch.no_grad(), self.device:
                made.quant_method.process_weights_after_loading(made)

        return Tried(
            run=lambda x: first(made(x)),
            finish=finish,
            kernel=lambda: kernel_name(made),
            method=lambda: method_name(made).partition(" ")[0],
            held_bytes=lambda: module_bytes(made, set()),
        )


class _Given(GivenMethod, QuantizationConfig):
    """The engine's kind of config, with one method to give."""


def work(*, layers: Sequence[Mapping[str, Any]], dtype: str, scratch: str) -> Iterator[dict[str, Any]]:
    """Try each layer's candidates; ``scratch`` is a folder that whoever called this removes."""
    tempfile.tempdir = scratch
    with scene(dtype) as device:
        yield {"stage": "ready", "device": device.type}
        yield from run_trials(layers, VllmBench(dtype, device))
