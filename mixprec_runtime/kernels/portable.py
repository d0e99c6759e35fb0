"""Portable kernels under one roof: what an engine's layer has loaded becomes a state, a state is applied.

``mixprec_doctor.kernels.portable`` says which kernel takes which layer; ``weights`` says which tensors each format has,
by name and layout. A state holds tensors and ints only, so a layer can keep it as parameters and attributes.
"""

from __future__ import annotations

__all__ = ["State", "apply", "prepare", "state_bytes"]

from collections.abc import Mapping, Sequence

import torch

from mixprec_doctor.kernels.portable import find_portable
from mixprec_doctor.records.format import Format
from mixprec_runtime.kernels import fp8, int4, int8, tiles

State = dict[str, "torch.Tensor | int"]

_PREPARED = {
    "portable int4": int4.prepare,
    "portable int8": int8.prepare,
    "portable int8 groups": int8.prepare_groups,
    "portable fp8": fp8.prepare,
    "portable tiles": tiles.prepare,
}


def prepare(
    kernel: str,
    format: Format,
    tensors: Mapping[str, torch.Tensor],
    widths: Sequence[int],
    dtype: torch.dtype,
) -> State:
    """Bring a loaded layer into a kernel's order, on the device where its tensors lie.

    ``tensors`` by the last part of their names, fused along the outputs (see ``weights``); ``widths`` are the outputs
    of the fused parts; ``dtype`` is that of the inputs. Raises UnpreparableWeight for tensors that do not fit, and
    UnknownPortableKernel.
    """
    state: State = _PREPARED[find_portable(kernel).name](format, tensors, widths, dtype)
    return state


def apply(
    kernel: str, x: torch.Tensor, state: Mapping[str, torch.Tensor | int], bias: torch.Tensor | None = None
) -> torch.Tensor:
    """``x @ weight.T + bias`` for x ``[..., in]``, in the type of x."""
    rows = x.reshape(-1, x.shape[-1])
    if kernel == "portable tiles":
        return _shaped(x, tiles.tiled_linear(rows, state, bias))
    if kernel == "portable int4":
        out = int4.apply(rows, state)
    elif kernel == "portable int8":
        out = int8.int8_linear(rows, *_tensors(state, "codes", "scales"))
    elif kernel == "portable int8 groups":
        out = int8.grouped_linear(rows, state)
    else:
        out = fp8.fp8_linear(rows, state)
    return _shaped(x, out if bias is None else out + bias)


def state_bytes(state: Mapping[str, torch.Tensor | int]) -> int:
    """Bytes of a state's tensors."""
    return sum(value.nbytes for value in state.values() if isinstance(value, torch.Tensor))


def _shaped(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return out.reshape(*x.shape[:-1], out.shape[-1])


def _tensors(state: Mapping[str, torch.Tensor | int], *names: str) -> tuple[torch.Tensor, ...]:
    return tuple(value for value in (state[name] for name in names) if isinstance(value, torch.Tensor))
