"""Whether the engine's own kernel really runs here: tried on a throw-away layer before the model's is made.

The engine's checks are made from tables of capabilities; a library built without an operator passes them and fails
at the first forward pass. So a method is asked to make, repack and apply a layer of the very shape it is about to be
given. What it raises is the verdict. Time is no part of it: a verdict must be the same at every start.
"""

from __future__ import annotations

__all__ = ["ROWS", "KernelVerdict", "prove"]

from dataclasses import dataclass
from typing import Any

import torch
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_runtime.adapters.vllm.methods import method_name

ROWS = 16

@dataclass(frozen=True, kw_only=True)
class KernelVerdict:
    """What came of one trial. ``fault`` is None when the kernel ran and gave finite numbers."""

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
    y = method.apply(trial, torch.ones(ROWS, inputs, dtype=arguments["params_dtype"]), None)
    if tuple(y.shape) != (ROWS, outputs) or not bool(torch.isfinite(y.to(torch.float32)).all()):
        return f"gave {list(y.shape)} {y.dtype}, of another shape than {[ROWS, outputs]} or not finite"
    return None
