"""Taking: what a source has for one module of the base model, or why that cannot stand there."""

from __future__ import annotations

__all__ = ["ModuleFault", "base_weights", "fault_findings", "take"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.formats import QUANTIZED_ONLY, MalformedModule, ModuleWeights, read_module
from mixprec_runtime.planning.cachescales import is_cache_scale
from mixprec_runtime.planning.modules import is_derived
from mixprec_runtime.planning.zeros import all_zero
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import PlanFinding


@dataclass(frozen=True, kw_only=True)
class ModuleFault:
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


def base_weights(base: Checkpoint) -> tuple[dict[str, ModuleWeights], list[ModuleFault]]:
    """The modules of the base model by name, and those whose tensors make no known layout."""
    weights: dict[str, ModuleWeights] = {}
    faults: list[ModuleFault] = []
    for module in base.modules:
        tensors = _own(base, module, base)
        if not tensors:
            continue
        found = read_module(tensors, base.quantization, module=module)
        if isinstance(found, MalformedModule):
            faults.append(ModuleFault(code="MP631", source=BASE_SOURCE, module=module, text=found.reason))
        else:
            weights[module] = found
    return weights, faults


def _own(checkpoint: Checkpoint, module: str, base: Checkpoint) -> dict[str, TensorHeader]:
    """A module's tensors without those that the model computes itself and those of the key-value cache."""
    tensors = checkpoint.of_module(module)
    return {
        suffix: t for suffix, t in tensors.items() if not is_derived(t.name, base.config) and not is_cache_scale(t.name)
    }


def take(
    module: str, plain: ModuleWeights, base: Checkpoint, source: str, checkpoint: Checkpoint
) -> tuple[ModuleWeights, dict[str, TensorHeader]] | ModuleFault:
    """A module as a source has it, with its tensors by suffix; or why it cannot be taken from there."""

    def fault(code: str, text: str) -> ModuleFault:
        return ModuleFault(code=code, source=source, module=module, text=text)

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


def fault_findings(mix: Mix, faults: list[ModuleFault]) -> list[Finding]:
    """MP630 to MP633: one finding for the faults of one kind in one source."""
    kinds: dict[tuple[str, str], list[ModuleFault]] = {}
    for fault in faults:
        kinds.setdefault((fault.code, fault.source), []).append(fault)
    findings: list[Finding] = []
    for (code, source), members in kinds.items():
        evidence = [f"{fault.module}: {fault.text}" for fault in members]
        findings.append(
            PlanFinding(
                code=code,
                severity=Severity.ERROR,
                summary=(f"{mix.source(source).mark}: {_SUMMARIES[code].format(source=source)} ({len(members)})"),
                evidence=tuple(evidence),
                remedy=Remedy(text=_REMEDIES[code]),
                modules=tuple((fault.module,) for fault in members),
            )
        )
    return findings
