"""One layer of a workload in tensors: what a rank's part of it holds, and what it means in float32."""

from __future__ import annotations

__all__ = ["TrialLayer", "read_layer"]

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.planning.ranks import AXES, WHOLE
from mixprec_runtime.reference.dequantize import dequantize

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.uint8, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""Types of safetensors in torch; e8m0 scales stay bytes, which every torch has."""
Parts = tuple[Mapping[str, torch.Tensor], ...]
SEED = 20240
HIDDEN = 64


@dataclass(frozen=True, kw_only=True)
class TrialLayer:
    """A layer as one rank holds it. ``parts`` are its tensors per fused part, ``weight`` is ``[out, in]`` float32."""

    format: Format
    shape: LinearShape
    folder: str
    unit: tuple[str, ...]
    parts: Parts
    stored: Mapping[str, tuple[str, tuple[int, ...]]]  # of the first part, whole: safetensors type and shape
    weight: torch.Tensor
    bias: torch.Tensor | None
    origin: str  # "checkpoint" or "generated"

    @property
    def reach(self) -> float | None:
        """The largest input that every part's static scale stands for; None where scales are made of the inputs."""
        if self.format.activation is not Activation.STATIC:
            return None
        names = ("input_scale", "activation_scale")
        scales = [float(part[name].max()) for part in self.parts for name in names if name in part]
        largest = {FormatKind.FP8: 448.0, FormatKind.INT8: 127.0}.get(self.format.kind)
        return min(scales) * largest if scales and largest is not None else None


def read_layer(raw: Mapping[str, Any], dtype: torch.dtype, device: torch.device) -> TrialLayer:
    """The layer that a request describes, with the checkpoint's tensors, or generated ones where it names none.

    An act-order layer that is cut along its inputs needs scales of groups from all over; it gets generated tensors.
    """
    form, shape = Format.from_json(raw["format"]), LinearShape.from_json(raw["shape"])
    cut_groups = form.act_order and shape.inputs != shape.full_inputs
    folder, unit, origin = raw["folder"], tuple(raw["unit"]), "checkpoint"
    if raw["parts"] and not cut_groups:
        stored = {each["suffix"]: (each["dtype"], tuple(each["shape"])) for each in raw["parts"][0]}
        whole = [{each["suffix"]: _read(each) for each in part} for part in raw["parts"]]
        parts: Parts = tuple(
            {suffix: _first_rank(tensor, suffix, form, shape, at) for suffix, tensor in part.items()}
            for at, part in enumerate(whole)
        )
    else:
        parts, made = _generated(form, shape, dtype)
        origin = "generated"
        if not folder:
            unit = tuple(f"model.layers.0.mlp.{name}" for name in _names(len(parts)))
            folder = _write_folder(form, shape, unit, parts, made, dtype)
        stored = {
            suffix: (_name_of(tensor.dtype), tuple(tensor.shape)) for suffix, tensor in parts[0].items()
        }  # fmt: skip
    weights = [dequantize(form, {k: v for k, v in part.items() if k != "bias"}) for part in parts]
    biases = [part["bias"].to(torch.float32) for part in parts if "bias" in part]
    return TrialLayer(
        format=form,
        shape=shape,
        folder=folder,
        unit=unit,
        parts=parts,
        stored=stored,
        weight=torch.cat(weights).to(device),
        bias=torch.cat(biases).to(device) if len(biases) == len(parts) else None,
        origin=origin,
    )


def _read(stored: Mapping[str, Any]) -> torch.Tensor:
    size = stored["end"] - stored["begin"]
    data = bytearray(size)
    with Path(stored["file"]).open("rb") as stream:
        stream.seek(stored["begin"])
        if stream.readinto(data) != size:
            raise OSError(f"{stored['file']} ends before {stored['suffix']} does")
    return torch.frombuffer(data, dtype=DTYPES[stored["dtype"]]).reshape(stored["shape"])


def _first_rank(tensor: torch.Tensor, suffix: str, form: Format, shape: LinearShape, part: int) -> torch.Tensor:
    """What the first rank holds of a tensor; an axis that runs along what is cut is shortened in proportion."""
    if suffix == "weight_shape":
        return torch.tensor([shape.outputs[part], shape.inputs], dtype=tensor.dtype)
    out_axis, in_axis = AXES.get(form.kind, WHOLE).get(suffix, (None, None))
    cuts = ((out_axis, shape.outputs[part], shape.full_outputs[part]), (in_axis, shape.inputs, shape.full_inputs))
    for axis, held, full in cuts:
        if axis is None or axis >= tensor.ndim or tensor.shape[axis] == 1 or held == full:
            continue
        tensor = tensor.narrow(axis, 0, math.ceil(tensor.shape[axis] * held / full))
    return tensor.contiguous()


def _generated(form: Format, shape: LinearShape, dtype: torch.dtype) -> tuple[Parts, Mapping[str, object] | None]:
    from mixprec_runtime.packing.announced import quantization_config
    from mixprec_runtime.packing.generated import generated_layer

    parts = generated_layer(form, shape.outputs, shape.inputs, seed=SEED)
    if form.kind is FormatKind.PLAIN:
        parts = [{name: tensor.to(dtype) for name, tensor in part.items()} for part in parts]
    return tuple(parts), quantization_config(form)


def _names(parts: int) -> Sequence[str]:
    return {1: ("down_proj",), 2: ("gate_proj", "up_proj")}.get(parts) or [f"part{at}_proj" for at in range(parts)]


def _write_folder(
    form: Format,
    shape: LinearShape,
    unit: Sequence[str],
    parts: Sequence[Mapping[str, torch.Tensor]],
    quantization: Mapping[str, object] | None,
    dtype: torch.dtype,
) -> str:
    """A checkpoint of that one layer: engines read configs, and some the headers of the weights, from a folder.

    It is left to the process that started this one to remove the temporary folder that all of them are in.
    """
    from safetensors.torch import save_file

    folder = Path(tempfile.mkdtemp(prefix=f"{form.kind.value}-"))
    config: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": max(shape.outputs), "num_attention_heads": 1, "num_key_value_heads": 1,
        "num_hidden_layers": 1, "vocab_size": 32, "max_position_embeddings": 64,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }  # fmt: skip
    if quantization is not None:
        config["quantization_config"] = dict(quantization)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {
        f"{name}.{suffix}": tensor.contiguous()
        for name, part in zip(unit, parts, strict=True)
        for suffix, tensor in part.items()
    }
    save_file(tensors, str(folder / "model.safetensors"))
    return str(folder)


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known is dtype)
