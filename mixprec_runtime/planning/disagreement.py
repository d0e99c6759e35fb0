"""Disagreement: modules whose tensors are not what their config says, and formats that nothing serves yet."""

from __future__ import annotations

__all__ = ["Taken", "find_disagreements", "find_unserved"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.checkpoint.stated import ALL_INPUTS, StatedFormat, StatedPlain, stated_format
from mixprec_runtime.records.checkpoint import TensorHeader
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import PlanFinding

UNSERVED_KINDS = frozenset({FormatKind.NVFP4, FormatKind.MXFP4})
SERVED_VARIANTS = frozenset({None, "gptq_v2"})


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A linear module as the plan takes it from a source, with the config of that source."""

    module: str
    source: str
    weights: ModuleWeights
    tensors: Mapping[str, TensorHeader]
    quantization: Mapping[str, object] | None


def find_disagreements(mix: Mix, taken: Iterable[Taken]) -> list[Finding]:
    """MP634 for each source: an error for what changes how an engine reads weights, a warning for the rest."""
    grave: dict[str, dict[str, str]] = {}
    slight: dict[str, dict[str, str]] = {}
    for each in taken:
        errors, warnings = _differences(each)
        for found, differences in ((grave, errors), (slight, warnings)):
            if differences:
                found.setdefault(each.source, {})[each.module] = "; ".join(differences)
    return [
        *(_finding(mix, source, found, Severity.ERROR) for source, found in grave.items()),
        *(_finding(mix, source, found, Severity.WARNING) for source, found in slight.items()),
    ]


def find_unserved(mix: Mix, taken: Iterable[Taken]) -> list[Finding]:
    """MP635 for each source and format that is known, and that mixprec cannot hand to an engine yet."""
    modules: dict[tuple[str, str], list[str]] = {}
    for each in taken:
        form = each.weights.format
        if form.kind in UNSERVED_KINDS or form.variant not in SERVED_VARIANTS:
            modules.setdefault((each.source, _called(form)), []).append(each.module)
    return [
        PlanFinding(
            code="MP635",
            severity=Severity.ERROR,
            summary=f"{mix.source(source).mark}: source {source!r} holds {name}, which mixprec cannot serve yet"
            f" ({len(names)})",
            evidence=tuple(names),
            remedy=Remedy(text="Take these modules from a source in another format, or let `ignore` keep the base's."),
            modules=tuple((name,) for name in names),
        )
        for (source, name), names in modules.items()
    ]


def _called(form: Format) -> str:
    return f"{form.name} in the variant {form.variant}" if form.variant else form.name


def _finding(mix: Mix, source: str, found: Mapping[str, str], severity: Severity) -> Finding:
    grave = severity is Severity.ERROR
    return PlanFinding(
        code="MP634",
        severity=severity,
        summary=f"{mix.source(source).mark}: in source {source!r} config and tensors disagree ({len(found)})",
        cause="An engine goes by the config, and would read other weights than these tensors hold."
        if grave
        else "An engine goes by the config; what the tensors say besides is lost.",
        evidence=tuple(f"{module}: {differences}" for module, differences in found.items()),
        modules=tuple((module,) for module in found),
        remedy=Remedy(
            text="Fetch the checkpoint again, config.json and tensors of one state; or correct quantization_config "
            "where its author confirms what the tensors are."
        ),
    )


def _differences(taken: Taken) -> tuple[list[str], list[str]]:
    """Grave and slight differences between config and tensors, in words."""
    stated = stated_format(taken.quantization, taken.module)
    found = taken.weights.format
    plain = found.kind is FormatKind.PLAIN
    if isinstance(stated, StatedPlain):
        return ([] if plain else [f"tensors {found.name}, config leaves it out by {stated.by}"]), []
    if not isinstance(stated, StatedFormat):
        return [], []
    if plain:
        wanted = f"config says {stated.kind.value}, tensors are plain {found.name}"
        return ([wanted] if stated.certain else []), []
    if stated.kind is not found.kind:
        return [f"config says {stated.kind.value}, tensors are {found.kind.value}"], []
    return _of_one_kind(taken, stated, found)


def _of_one_kind(taken: Taken, stated: StatedFormat, found: Format) -> tuple[list[str], list[str]]:
    static = bool(taken.tensors.keys() & {"input_scale", "activation_scale", "input_global_scale"})
    pairs: list[tuple[str, object, object]] = [
        ("bits", stated.bits, found.bits),
        ("group size", *_groups(stated, found, taken.weights.shape)),
        ("scales per", stated.scale, found.scale),
        ("blocks of", stated.block, found.block),
    ]
    if found.kind in (FormatKind.PACKED, FormatKind.INT8):  # elsewhere the tensors do not tell
        pairs.append(("symmetric", stated.symmetric, found.symmetric))
    if found.kind is FormatKind.PACKED:
        pairs.append(("act-order", stated.act_order, found.act_order))
    grave = [
        f"{what} {_said(wanted)} in the config, {_said(there)} in the tensors"
        for what, wanted, there in pairs
        if wanted is not None and wanted != there
    ]
    slight = []
    if found.kind is FormatKind.GPTQ and stated.act_order and "g_idx" not in taken.tensors:
        grave.append("desc_act in the config, no g_idx in the tensors")
    if found.kind in (FormatKind.FP8, FormatKind.INT8):
        if stated.activation is Activation.STATIC and not static:
            grave.append("static activations in the config, no input_scale in the tensors")
        if stated.activation in (Activation.DYNAMIC, Activation.NONE) and static:
            slight.append(f"input_scale in the tensors, {stated.activation.value} activations in the config")
    return grave, slight


def _groups(stated: StatedFormat, found: Format, shape: tuple[int, ...]) -> tuple[int | None, int]:
    """Group sizes as numbers of inputs, however "all inputs" is written."""
    inputs = shape[-1]
    return (inputs if stated.group == ALL_INPUTS else stated.group), found.group or inputs


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
