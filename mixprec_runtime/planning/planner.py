"""Make a plan from a mix: open the checkpoints, assign modules, take tensors, compare shapes, add up bytes."""

from __future__ import annotations

__all__ = ["make_plan"]

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.errors import CheckpointError
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import QUANTIZED_ONLY, MalformedModule, ModuleWeights, read_module
from mixprec_runtime.planning.asides import settle_asides
from mixprec_runtime.planning.assign import assign
from mixprec_runtime.planning.cachescales import NUMBER, CacheScales, is_cache_scale, plan_cache_scales
from mixprec_runtime.planning.compatibility import compare
from mixprec_runtime.planning.disagreement import Taken, find_disagreements, find_unserved
from mixprec_runtime.planning.experts import spread
from mixprec_runtime.planning.folding import find_folded
from mixprec_runtime.planning.fusing import find_unfusable
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.planning.leaving import left_out
from mixprec_runtime.planning.modules import class_name, is_derived
from mixprec_runtime.planning.norms import follow
from mixprec_runtime.planning.origin import find_strangers
from mixprec_runtime.planning.parallel import find_split_faults
from mixprec_runtime.planning.ranks import Split, bytes_per_rank
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.planning.zeros import all_zero
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Source
from mixprec_runtime.records.plan import LayerPlan, Plan, PlannedSource, Totals

SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """What is wrong with one module; faults of one kind in one source become one finding."""

    code: str
    source: str
    module: str
    text: str


_SUMMARIES = {
    "MP630": "source {source!r} lacks modules that the mix takes from it",
    "MP631": "source {source!r} has modules whose tensors make no known layout",
    "MP632": "source {source!r} has shapes other than the base model's",
    "MP633": "source {source!r} and the base model differ in their biases",
}
_REMEDIES = {
    "MP630": "Take these modules from another source, or let `ignore` keep the base model's.",
    "MP631": "Was the checkpoint written whole? If so, its format is not supported yet: take another source.",
    "MP632": "Name a quantized checkpoint of this very base model.",
    "MP633": "Name a quantized checkpoint of this very base model.",
}


def make_plan(mix: Mix, *, tensor_parallel_size: int = 1, pipeline_parallel_size: int = 1) -> Plan:
    """The plan of a mix, with every fault of its checkpoints and rules as a finding.

    Reads ``config.json``, index files and safetensors headers; of tensors only a bias that the base lacks.
    """
    opened, findings = _open(mix)
    base = opened.get(BASE_SOURCE)
    if base is None:
        return _without_layers(mix, opened, findings)
    weights, faults = _base_weights(base)
    vocab = language_config(base.config).get("vocab_size")
    vocab_size = vocab if isinstance(vocab, int) else None
    classes = {module: class_name(module, w, vocab_size=vocab_size) for module, w in weights.items()}
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
        taken = _take(module, plain, base, source, opened[source])
        if isinstance(taken, _Fault):
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
    findings += [*_grouped(mix, faults), *find_disagreements(mix, linear), *find_unserved(mix, linear)]
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


def _open(mix: Mix) -> tuple[dict[str, Checkpoint], list[Finding]]:
    opened: dict[str, Checkpoint] = {}
    findings: list[Finding] = []
    for source in (mix.model, *mix.sources.values()):
        try:
            opened[source.name] = open_checkpoint(source.path)
        except CheckpointError as fault:
            findings.append(_unopened(source, fault))
    base = opened.get(BASE_SOURCE)
    for name, source in mix.sources.items():
        if base is not None and name in opened and (differing := compare(source, opened[name], base)):
            findings.append(differing)
            del opened[name]
    return opened, findings


def _unopened(source: Source, fault: CheckpointError) -> Finding:
    return Finding(
        code=fault.code,
        severity=Severity.ERROR,
        summary=f"{source.mark}: source {source.name!r} cannot be used: {fault.path.name} {fault.fault}",
        evidence=(str(fault.path),),
        remedy=Remedy(text=fault.remedy) if fault.remedy else None,
    )


def _base_weights(base: Checkpoint) -> tuple[dict[str, ModuleWeights], list[_Fault]]:
    weights: dict[str, ModuleWeights] = {}
    faults: list[_Fault] = []
    for module in base.modules:
        tensors = _own(base, module, base)
        if not tensors:
            continue
        found = read_module(tensors, base.quantization, module=module)
        if isinstance(found, MalformedModule):
            faults.append(_Fault(code="MP631", source=BASE_SOURCE, module=module, text=found.reason))
        else:
            weights[module] = found
    return weights, faults


def _own(checkpoint: Checkpoint, module: str, base: Checkpoint) -> dict[str, TensorHeader]:
    """A module's tensors without those that the model computes itself and those of the key-value cache."""
    tensors = checkpoint.of_module(module)
    return {
        suffix: t for suffix, t in tensors.items() if not is_derived(t.name, base.config) and not is_cache_scale(t.name)
    }


def _take(
    module: str, plain: ModuleWeights, base: Checkpoint, source: str, checkpoint: Checkpoint
) -> tuple[ModuleWeights, dict[str, TensorHeader]] | _Fault:
    def fault(code: str, text: str) -> _Fault:
        return _Fault(code=code, source=source, module=module, text=text)

    tensors = _own(checkpoint, module, base)
    if not tensors:
        return fault("MP630", "no tensor")
    found = read_module(tensors, checkpoint.quantization, module=module)
    if isinstance(found, MalformedModule):
        return fault("MP631", found.reason)
    if found.shape != plain.shape:
        return fault("MP632", f"base {list(plain.shape)}, source {list(found.shape)}")
    wanted = base.of_module(module)
    if "bias" in wanted and "bias" not in tensors:
        return fault("MP633", "the base has a bias, the source has none")
    if "bias" in tensors and "bias" not in wanted:
        # AutoGPTQ writes a bias of zeros for every module; engines drop it, so it must be nothing but zeros.
        if not all_zero(tensors["bias"]):
            return fault("MP633", "the source has a bias that is not zero, the base has none")
        tensors = {suffix: tensor for suffix, tensor in tensors.items() if suffix != "bias"}
    differing = _differing(_own(base, module, base), tensors, found)
    return fault(*differing) if differing else (found, tensors)


def _differing(
    wanted: Mapping[str, TensorHeader], tensors: Mapping[str, TensorHeader], found: ModuleWeights
) -> tuple[str, str] | None:
    """Code and words for the parameters beside the weight (bias, A_log ...) that are not those of the base."""
    beside = {suffix for suffix in wanted if suffix not in QUANTIZED_ONLY} - {"weight"}
    if missing := beside - tensors.keys():
        return "MP630", f"no tensor {', '.join(sorted(missing))}"
    if found.format.kind is FormatKind.PLAIN and (unknown := tensors.keys() - wanted.keys() - {"weight"}):
        return "MP631", f"the base model has no tensor {', '.join(sorted(unknown))} there"
    for suffix in sorted(beside):
        if wanted[suffix].shape != tensors[suffix].shape:
            return "MP632", f"{suffix}: base {list(wanted[suffix].shape)}, source {list(tensors[suffix].shape)}"
    return None


def _grouped(mix: Mix, faults: list[_Fault]) -> list[Finding]:
    kinds: dict[tuple[str, str], list[_Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.code, fault.source), []).append(fault)
    findings = []
    for (code, source), members in kinds.items():
        evidence = [f"{fault.module}: {fault.text}" for fault in members]
        findings.append(
            Finding(
                code=code,
                severity=Severity.ERROR,
                summary=(f"{mix.source(source).mark}: {_SUMMARIES[code].format(source=source)} ({len(members)})"),
                evidence=tuple(evidence),
                remedy=Remedy(text=_REMEDIES[code]),
            )
        )
    return findings


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
