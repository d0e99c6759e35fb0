"""Trials of kernels with SGLang's own layers and loading path; called in a child process before any engine starts."""

from __future__ import annotations

__all__ = ["SglangBench", "work"]

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import sglang.srt.layers.quantization  # noqa: F401  before the layers: earlier releases import in a circle
import torch
from sglang.srt.layers.linear import (
    ColumnParallelLinear,
    LinearBase,
    MergedColumnParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)
from sglang.srt.layers.quantization.base_config import QuantizationConfig

from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.bookkeeping import module_bytes
from mixprec_runtime.adapters.given import GivenMethod
from mixprec_runtime.adapters.layers import TrialLayer
from mixprec_runtime.adapters.making import first, load, named, portable_refusals
from mixprec_runtime.adapters.sglang.engineconfig import engine_config, known_methods, taking
from mixprec_runtime.adapters.sglang.methods import kernel_name, method_name
from mixprec_runtime.adapters.sglang.portable_method import PortableLinearMethod
from mixprec_runtime.adapters.sglang.scene import scene
from mixprec_runtime.adapters.sglang.ways import Way, ways
from mixprec_runtime.adapters.trials import NoKernel, Tried, run_trials


class SglangBench:
    """Makes, loads and runs single layers of the engine."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.dtype_name = dtype
        self.device = device

    def native(self, layer: TrialLayer, without: Sequence[str]) -> Tried:
        """The engine's own choice, else the next way to a kernel that is not left out. Raises NoKernel."""
        packed = named(layer.unit).packed
        own = engine_config(layer.folder, self.dtype_name, packed=packed)
        name = own.get_name() if own is not None else "unquantized"
        blocks = layer.format.block is not None
        for way in ways(name, known=known_methods(), device=self.device.type, blocks=blocks):
            if way.name in without:
                continue
            try:
                made = self._make_in(way, layer, own)
            except Exception as fault:  # noqa: BLE001  whatever the engine raises is the verdict on this way
                return _failed(way, fault)
            if kernel_name(made) not in without:
                return self._tried(made, layer)
        raise NoKernel(f"SGLang has no further kernel for what it serves as {name}")

    def portable(self, layer: TrialLayer, kernel: str) -> Tried:
        """A portable kernel behind a linear method of ours."""
        config = _Given(PortableLinearMethod(kernel, layer.format, layer.stored))
        return self._tried(self._make(layer.shape, config, layer.unit, bias=layer.bias is not None), layer)

    def refusals(self, layer: TrialLayer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The portable kernels best first, with why they cannot serve the layer here."""
        capability = None
        if self.device.type == "cuda":
            major, minor = torch.cuda.get_device_capability(self.device)
            capability = major * 10 + minor
        device = "rocm" if torch.version.hip else self.device.type
        return portable_refusals(layer, dtype=self.dtype_name, device=device, capability=capability)

    def plain(self, shape: LinearShape) -> Tried:
        """The same shape without any quantization."""
        made = self._make(shape, None, tuple(f"plain.{at}_proj" for at in range(len(shape.outputs))), bias=False)
        with torch.no_grad():
            made.weight.normal_(std=0.02)
        return self._tried(made, None)

    def _make_in(self, way: Way, layer: TrialLayer, own: QuantizationConfig | None) -> LinearBase:
        config = own
        with taking(way):
            if way.quantization is not None:
                packed = named(layer.unit).packed
                config = engine_config(layer.folder, self.dtype_name, quantization=way.quantization, packed=packed)
            return self._make(layer.shape, config, layer.unit, bias=layer.bias is not None)

    def _make(
        self, shape: LinearShape, config: QuantizationConfig | None, unit: Sequence[str], *, bias: bool
    ) -> LinearBase:
        settings: dict[str, Any] = {
            "bias": bias, "params_dtype": self.dtype, "quant_config": config, "prefix": named(unit).prefix,
        }  # fmt: skip
        with self.device, torch.no_grad():
            if len(shape.outputs) > 1:
                return MergedColumnParallelLinear(shape.inputs, list(shape.outputs), **settings)
            kind = {"row": RowParallelLinear, "column": ColumnParallelLinear}.get(shape.partition, ReplicatedLinear)
            return kind(shape.inputs, shape.outputs[0], **settings)

    def _tried(self, made: LinearBase, layer: TrialLayer | None) -> Tried:
        def finish() -> None:
            with torch.no_grad(), self.device:
                if layer is not None:
                    load(made, layer)
                made.quant_method.process_weights_after_loading(made)

        return Tried(
            run=lambda x: first(made(x)),
            finish=finish,
            kernel=lambda: kernel_name(made),
            method=lambda: method_name(made),
            held_bytes=lambda: module_bytes(made, set()),
        )


def _failed(way: Way, fault: Exception) -> Tried:
    """A way on which no layer could be made: it fails when it is finished, so that the next one is tried."""

    def refuse(*_: object) -> NoReturn:
        raise fault

    return Tried(run=refuse, finish=refuse, kernel=lambda: way.name, method=lambda: "", held_bytes=lambda: 0)


class _Given(GivenMethod, QuantizationConfig):
    """The engine's kind of config, with one method to give."""


def work(*, layers: Sequence[Mapping[str, Any]], dtype: str, scratch: str) -> Iterator[dict[str, Any]]:
    """Try each layer's candidates; ``scratch`` is a folder that whoever called this removes."""
    tempfile.tempdir = scratch
    with scene(dtype) as device:
        yield {"stage": "ready", "device": device.type}
        yield from run_trials(layers, SglangBench(dtype, device))
