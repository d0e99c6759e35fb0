"""Make a plan from a mix: open the checkpoints, assign modules, take tensors, compare shapes, add up bytes."""

from __future__ import annotations

__all__ = ["make_plan"]

from collections.abc import Mapping
from math import prod

from mixprec_doctor.records.finding import Finding
from mixprec_runtime.planning.asides import settle_asides
from mixprec_runtime.planning.assign import assign
from mixprec_runtime.planning.cachescales import NUMBER, CacheScales, plan_cache_scales
from mixprec_runtime.planning.disagreement import Taken, find_disagreements, find_unserved
from mixprec_runtime.planning.experts import spread
from mixprec_runtime.planning.folding import find_folded
from mixprec_runtime.planning.fusing import find_unfusable
from mixprec_runtime.planning.leaving import left_out
from mixprec_runtime.planning.modules import class_names
from mixprec_runtime.planning.norms import follow
from mixprec_runtime.planning.opening import OpenedSources, open_sources
from mixprec_runtime.planning.origin import find_strangers
from mixprec_runtime.planning.parallel import find_split_faults
from mixprec_runtime.planning.ranks import Split, bytes_per_rank
from mixprec_runtime.planning.taking import ModuleFault, base_weights, fault_findings, take
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import LayerPlan, Plan, PlannedSource, Totals


def make_plan(
    mix: Mix,
    *,
    tensor_parallel_size: int = 1,
    pipeline_parallel_size: int = 1,
    sources: OpenedSources | None = None,
) -> Plan:
    """The plan of a mix, with every fault of its checkpoints and rules as a finding.

    Reads ``config.json``, index files and safetensors headers, where ``sources`` does not hold them already; of tensors
    only a bias that the base lacks.
    """
    sources = sources or open_sources(mix)
    opened, findings = sources.checkpoints, list(sources.findings)
    base = opened.get(BASE_SOURCE)
    if base is None:
        return _without_layers(mix, opened, findings)
    weights, faults = base_weights(base)
    classes = class_names(weights, base.config)
    units = units_of(weights)
    assigned, rule_findings = assign(mix, classes)
    findings += rule_findings
    assigned, norm_findings = follow(mix, opened, settle_asides(assigned, opened))
    findings += norm_findings
    split = Split.of(base.config, ranks=tensor_parallel_size, stages=pipeline_parallel_size)
    layers: list[LayerPlan] = []
    linear: list[Taken] = []
    modules = spread(weights, {module: each.source for module, each in assigned.items()}, opened)
    for module, (stack, plain) in modules.items():
        source = assigned[stack].source
        if source not in opened:
            continue  # reported when it could not be opened
        taken = take(module, plain, base, source, opened[source])
        if isinstance(taken, ModuleFault):
            faults.append(taken)
            continue
        found, tensors = taken
        if classes[stack] == "Linear":
            linear.append(
                Taken(
                    module=module,
                    source=source,
                    weights=found,
                    tensors=tensors,
                    quantization=opened[source].quantization,
                )
            )
        layers.append(
            LayerPlan(
                layer=module,
                source=source,
                format=found.format,
                shape=plain.shape,
                tensors=tuple(tensors.values()),
                bytes_per_rank=bytes_per_rank(module, found.format, tensors, split),
            )
        )
    scales, scale_findings = plan_cache_scales(mix, opened, assigned)
    layers += [_scales(each, split) for each in scales]
    findings += [*scale_findings, *find_unfusable(mix, units, linear, assigned)]
    findings += [*find_folded(mix, opened, linear, assigned), *find_strangers(mix, opened, linear, assigned)]
    findings += [*fault_findings(mix, faults), *find_disagreements(mix, linear), *find_unserved(mix, linear)]
    findings += find_split_faults(mix, layers, units, split)
    return Plan(
        mix_file=mix.file,
        sources=_used(mix, opened, {layer.source for layer in layers}),
        layers=tuple(layers),
        totals=_totals(layers, base, split.world),
        findings=tuple(findings),
        stages=split.stages,
        left_out=left_out(opened, layers, base.config),
    )


def _scales(scales: CacheScales, split: Split) -> LayerPlan:
    return LayerPlan(
        layer=scales.attention,
        source=scales.source,
        format=NUMBER,
        shape=(),
        tensors=tuple(scales.tensors.values()),
        bytes_per_rank=bytes_per_rank(scales.attention, NUMBER, scales.tensors, split),
    )


def _used(mix: Mix, opened: Mapping[str, Checkpoint], names: set[str]) -> dict[str, PlannedSource]:
    return {
        name: PlannedSource(
            name=name, path=checkpoint.path, quantization=checkpoint.quantization, hub=mix.source(name).hub
        )
        for name, checkpoint in opened.items()
        if name in names or name == BASE_SOURCE
    }


def _totals(layers: list[LayerPlan], base: Checkpoint, ranks: int) -> Totals:
    by_format: dict[str, int] = {}
    for layer in layers:
        by_format[layer.format.name] = by_format.get(layer.format.name, 0) + layer.nbytes
    per_rank = [sum(layer.bytes_per_rank[rank] for layer in layers) for rank in range(ranks)]
    return Totals(
        bytes=sum(layer.nbytes for layer in layers),
        bf16_bytes=sum(_parameters(layer, base) * 2 for layer in layers),
        by_format=by_format,
        bytes_per_rank=tuple(per_rank),
    )


def _parameters(layer: LayerPlan, base: Checkpoint) -> int:
    """Parameters of a module as if nothing were quantized: its plain weight, its bias, its lone tensors."""
    if not layer.shape:
        return 0  # scales of the key-value cache are no parameters of the model
    tensors = base.of_module(layer.layer)
    lone = {suffix: t for suffix, t in tensors.items() if suffix == "bias" or "weight" not in tensors}
    if layer.format.kind.value == "plain" and "weight" not in tensors:
        return sum(prod(tensor.shape) for tensor in lone.values())
    return prod(layer.shape) + sum(prod(t.shape) for suffix, t in lone.items() if suffix == "bias")


def _without_layers(mix: Mix, opened: Mapping[str, Checkpoint], findings: list[Finding]) -> Plan:
    return Plan(
        mix_file=mix.file,
        sources=_used(mix, opened, set(opened)),
        layers=(),
        totals=Totals(bytes=0, bf16_bytes=0, by_format={}, bytes_per_rank=()),
        findings=tuple(findings),
    )
