"""Whether the engine's own kernel really runs here: tried on a throw-away layer before the model's is made.

The engine's checks are made from tables of capabilities; a library built without an operator passes them and fails
at the first forward pass. So a method is asked to make, repack and apply a layer of the very shape it is about to
be given. What it raises is the verdict.
"""

from __future__ import annotations

__all__ = ["KernelVerdict", "prove"]

from dataclasses import dataclass
from typing import Any

import torch
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_runtime.adapters.vllm.methods import method_name


@dataclass(frozen=True, kw_only=True)
class KernelVerdict:
    """What came of one trial. ``fault`` is None when the kernel ran and gave finite numbers of the right shape."""

    method: str
    shape: tuple[int, int]
    fault: str | None


def prove(
    method: QuantizeMethodBase,
    layer: torch.nn.Module,
    *,
    inputs: int,
    outputs: list[int],
    dtype: torch.dtype,
    arguments: dict[str, Any],
) -> KernelVerdict:
    """Try ``method`` on a layer ``[sum(outputs), inputs]`` (this rank's part) filled with valid weights."""
    trial = torch.nn.Module()
    plain = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    trial.__dict__.update(plain)
    trial.__dict__["bias"] = None
    shape = (sum(outputs), inputs)
    try:
        method.create_weights(
            trial,
            input_size_per_partition=inputs,
            output_partition_sizes=outputs,
            params_dtype=dtype,
            **arguments,
        )
        for parameter in trial.parameters():
            parameter.data.fill_(1)
        method.process_weights_after_loading(trial)
        y = method.apply(trial, torch.ones(1, inputs, dtype=dtype), None)
        fault = None
        if tuple(y.shape) != (1, shape[0]) or not bool(torch.isfinite(y.to(torch.float32)).all()):
            fault = f"gave {list(y.shape)} {y.dtype} with values that are not finite or of another shape"
    except Exception as raised:  # noqa: BLE001  whatever an engine's kernel raises is the verdict
        fault = f"{type(raised).__name__}: {raised}"
    return KernelVerdict(method=_named(method, trial), shape=shape, fault=fault)


def _named(method: QuantizeMethodBase, trial: torch.nn.Module) -> str:
    trial.__dict__["quant_method"] = method
    return method_name(trial)
