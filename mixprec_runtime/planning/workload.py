"""The distinct linear layers of a plan, as one rank holds them: what an engine needs kernels for."""

from __future__ import annotations

__all__ = ["read_workload", "workload_of"]

import json
from collections.abc import Mapping
from pathlib import Path

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.workload import LinearShape, StoredTensor, Workload, WorkloadLayer
from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.planning.modules import OUTPUT_HEADS, is_linear
from mixprec_runtime.planning.ranks import COLUMN, ROW
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.records.checkpoint import TensorHeader
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import LayerPlan, Plan

SERVED = ("bfloat16", "float16")  # types of activations that quantized kernels are made for
USUAL = "bfloat16"


def read_workload(file: Path, ranks: int | None = None) -> Workload:
    """The workload of a mix file. Raises InvalidMix for a faulty file and RefusedPlan for what cannot be served."""
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan

    mix = read_mix(file)
    plan = make_plan(mix, tensor_parallel_size=ranks or mix.ranks)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    return workload_of(plan, mix, ranks=ranks)


def workload_of(plan: Plan, mix: Mix, *, ranks: int | None = None) -> Workload:
    """Layers of one source, format and shape stand together, named by the first of them, in the model's order.

    The output head and embeddings are left out: no engine quantizes them in a linear layer's way unless told so. So
    are experts: engines serve those of a layer with one method, which is no linear layer's.
    """
    config = json.loads((plan.sources[BASE_SOURCE].path / "config.json").read_text(encoding="utf-8"))
    ranks = ranks or mix.ranks
    planned = {layer.layer: layer for layer in plan.layers if _counts(layer, config)}
    united = {member: unit.members for unit in units_of(planned) for member in unit.members}
    groups: dict[tuple[str, Format, LinearShape], list[tuple[str, ...]]] = {}
    for name, layer in planned.items():
        members = united.get(name, (name,))
        if name != members[0]:
            continue
        shape = _shape([planned[member] for member in members], ranks, config)
        groups.setdefault((layer.source, layer.format, shape), []).append(members)
    layers = tuple(
        WorkloadLayer(
            format=form,
            shape=shape,
            source=source,
            folder=str(plan.sources[BASE_SOURCE if _is_plain(form, plan) else source].path),
            units=tuple(units),
            parts=tuple(tuple(_stored(tensor) for tensor in planned[name].tensors) for name in units[0]),
        )
        for (source, form, shape), units in groups.items()
    )
    return Workload(name=str(mix.file), dtype=_dtype(mix, config), ranks=ranks, layers=layers)


def _is_plain(form: Format, plan: Plan) -> bool:
    """Whether a layer is served without a source's config, which an engine may refuse for what others hold of it."""
    return form.kind is FormatKind.PLAIN and plan.sources[BASE_SOURCE].quantization is None


def _counts(layer: LayerPlan, config: Mapping[str, object]) -> bool:
    if expert_layer(layer.layer) is not None:
        return False
    vocab = language_config(config).get("vocab_size")
    weights = ModuleWeights(format=layer.format, shape=layer.shape)
    if layer.layer.rpartition(".")[2] in OUTPUT_HEADS or len(layer.shape) != 2:
        return False
    return is_linear(layer.layer, weights, vocab_size=vocab if isinstance(vocab, int) else None)


def _shape(parts: list[LayerPlan], ranks: int, config: Mapping[str, object]) -> LinearShape:
    """Cut as Megatron cuts: outputs of q, k, v, gate and up, inputs of o and down; key and value heads by heads."""
    leaves = [part.layer.rpartition(".")[2] for part in parts]
    inputs = parts[0].shape[1]
    outputs = tuple(part.shape[0] for part in parts)
    partition = "column" if set(leaves) <= COLUMN else "row" if set(leaves) <= ROW else "whole"
    heads = language_config(config).get("num_key_value_heads")
    held = []
    for leaf, out in zip(leaves, outputs, strict=True):
        copies = min(ranks, heads) if leaf in ("k_proj", "v_proj") and isinstance(heads, int) else ranks
        held.append(out // copies if partition == "column" else out)
    return LinearShape(
        inputs=inputs // ranks if partition == "row" else inputs,
        outputs=tuple(held),
        full_inputs=inputs,
        full_outputs=outputs,
        partition=partition,
    )


def _stored(tensor: TensorHeader) -> StoredTensor:
    return StoredTensor(
        suffix=tensor.name.rpartition(".")[2],
        dtype=tensor.dtype,
        shape=tensor.shape,
        file=str(tensor.file),
        begin=tensor.begin,
        end=tensor.end,
    )


def _dtype(mix: Mix, config: Mapping[str, object]) -> str:
    """What ``serve`` says, else the base model's own type; an engine serves quantized layers in 16 bits."""
    for said in (mix.serve.get("dtype"), config.get("dtype"), config.get("torch_dtype")):
        name = str(said).removeprefix("torch.").replace("half", "float16")
        if name in SERVED:
            return name
    return USUAL
