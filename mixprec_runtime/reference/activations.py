"""Rounding of activations, as engines do it before an 8-bit matrix product: one scale for each token.

The scale maps the token's largest magnitude to the largest value of the type (127, or 448 for float8_e4m3fn), as
compressed-tensors defines the strategy ``token`` with ``dynamic`` and ``symmetric`` set.
"""

from __future__ import annotations

__all__ = ["round_activations"]

from collections.abc import Callable, Container
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def round_activations(model: PreTrainedModel, layout: str, *, only: Container[str] | None = None) -> None:
    """Make linear layers of the decoder (not the head) round their inputs, in place: all, or those named in ``only``.

    ``layout`` is ``int-quantized`` or ``float-quantized``; for any other nothing is rounded. Names are those of the
    checkpoint (``model.layers.0.self_attn.o_proj``).
    """
    rounding = {"int-quantized": _to_int8, "float-quantized": _to_fp8}.get(layout)
    if rounding is None:
        return
    for name, module in model.model.named_modules(prefix="model"):
        if isinstance(module, torch.nn.Linear) and (only is None or name in only):
            module.register_forward_pre_hook(_hook(rounding))


def _hook(
    rounding: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
    def round_inputs(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (rounding(inputs[0]), *inputs[1:])

    return round_inputs


def _to_int8(activations: torch.Tensor) -> torch.Tensor:
    wide = activations.to(torch.float32)
    scales = (wide.abs().amax(dim=-1, keepdim=True) / 127).clamp(min=1e-12)
    return (torch.round(wide / scales).clamp(-128, 127) * scales).to(activations.dtype)


def _to_fp8(activations: torch.Tensor) -> torch.Tensor:
    wide = activations.to(torch.float32)
    scales = (wide.abs().amax(dim=-1, keepdim=True) / 448).clamp(min=1e-12)
    return ((wide / scales).to(torch.float8_e4m3fn).to(torch.float32) * scales).to(activations.dtype)
