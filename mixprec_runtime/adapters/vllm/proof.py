"""Whether the engine's own kernel really runs here: tried on a throw-away layer before the model's is made.

The engine's checks are made from tables of capabilities; a library built without an operator passes them and fails
at the first forward pass, and an operator may exist only as a reference implementation. So a method is asked to make,
repack and apply a layer of the very shape it is about to be given. What it raises, or how long it takes, is the
verdict.
"""

from __future__ import annotations

__all__ = ["ROWS", "TOO_SLOW", "KernelVerdict", "prove"]

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_runtime.adapters.vllm.methods import method_name

ROWS = 16
TRIES = 3
TOO_SLOW = 10.0
"""Times the seconds of BF16 on the same shape from which on a kernel counts as a mere reference implementation.

Measured on a CPU: working kernels stay below 2, PyTorch's float8 reference product is above 500.
"""


@dataclass(frozen=True, kw_only=True)
class KernelVerdict:
    """What came of one trial. ``fault`` is None when the kernel ran, in time, and gave finite numbers."""

    method: str
    shape: tuple[int, int]
    fault: str | None


def prove(method: QuantizeMethodBase, layer: torch.nn.Module, arguments: dict[str, Any]) -> KernelVerdict:
    """Try ``method`` on a stand-in for ``layer`` with valid weights; ``arguments`` are those of create_weights."""
    trial = torch.nn.Module()
    trial.__dict__.update({name: value for name, value in vars(layer).items() if not name.startswith("_")})
    trial.__dict__["bias"] = None
    inputs, outputs = arguments["input_size_per_partition"], sum(arguments["output_partition_sizes"])
    try:
        fault = _trial(method, trial, arguments, inputs, outputs)
    except Exception as raised:  # noqa: BLE001  whatever an engine's kernel raises is the verdict
        fault = f"{type(raised).__name__}: {raised}"
    trial.__dict__["quant_method"] = method
    return KernelVerdict(method=method_name(trial), shape=(outputs, inputs), fault=fault)


def _trial(
    method: QuantizeMethodBase, trial: torch.nn.Module, arguments: dict[str, Any], inputs: int, outputs: int
) -> str | None:
    method.create_weights(trial, **arguments)
    for parameter in trial.parameters():
        parameter.data.fill_(1)
    method.process_weights_after_loading(trial)
    x = torch.ones(ROWS, inputs, dtype=arguments["params_dtype"])
    y = method.apply(trial, x, None)
    if tuple(y.shape) != (ROWS, outputs) or not bool(torch.isfinite(y.to(torch.float32)).all()):
        return f"gave {list(y.shape)} {y.dtype}, of another shape than {[ROWS, outputs]} or not finite"
    plain = torch.ones(outputs, inputs, dtype=x.dtype)
    ratio = _seconds(lambda: method.apply(trial, x, None)) / _seconds(
        lambda: torch.nn.functional.linear(x, plain)
    )
    return f"takes {ratio:.0f} times as long as {x.dtype} on this shape" if ratio > TOO_SLOW else None


def _seconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)
