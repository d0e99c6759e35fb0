"""A plan as text: findings, units by source and format, totals against BF16."""

from __future__ import annotations

__all__ = ["findings_text", "plan_text"]

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.kernels import unserved
from mixprec_runtime.planning.units import FUSED
from mixprec_runtime.records.memory import MemoryReport
from mixprec_runtime.records.plan import LayerPlan, Plan
from mixprec_runtime.reports.account_text import replaced_lines
from mixprec_runtime.reports.memory_text import comparison
from mixprec_runtime.reports.sizes import human_bytes, ratio

MARKS = {Severity.ERROR: ("✗", "red"), Severity.WARNING: ("!", "yellow"), Severity.INFO: ("·", "blue")}
EVIDENCE_SHOWN = 8
EMBEDDED = "torch"


def plan_text(plan: Plan, *, every_layer: bool = False, memory: MemoryReport | None = None) -> RenderableType:
    """Everything about a plan; units of one kind that repeat over layers share a row unless ``every_layer``.

    With ``memory`` the mixture is compared with each of its checkpoints alone.
    """
    parts: list[RenderableType] = []
    if plan.layers:
        parts += [_layers(plan, every_layer=every_layer), Text(), _totals(plan)]
        if memory is not None:
            parts += [Text(), comparison(memory)]
    if plan.kernels:
        parts += [Text(), *_kernels(plan)]
    if plan.findings:
        parts += [Text(), findings_text(plan.findings)]
    errors = sum(finding.severity is Severity.ERROR for finding in plan.findings)
    parts.append(Text())
    if errors:
        parts.append(Text(f"✗ this mixture cannot be served: {errors} error{'s' * (errors > 1)}", style="red"))
    else:
        parts.append(Text("✓ every tensor of the model has exactly one source", style="green"))
    return Group(*parts)


EXPERTS = "experts: the engine's own method where it can make one, else portable kernels; not proved before the start"


def _kernels(plan: Plan) -> list[Text]:
    """Where the kernels' names come from, and what takes the place of what."""
    proved = sum(choice.winner is not None and choice.winner.proof is not None for choice in plan.kernels)
    whole = len(plan.kernels)
    engine = plan.kernels[0].engine
    if engine == EMBEDDED:
        told = [
            Text("kernels are mixprec's own, on the engine torch; what they take is known, and needs no proof", "dim")
        ]
        return told + _unserved(plan)
    told = [Text(f"kernels of {engine}: {proved} of {whole} kinds of layer proved here", style="dim")]
    if proved < whole:
        told[0].append("; the others are what reading says (mixprec launch, or mixprec doctor --verify --mix, proves)")
    told += [Text(line, style="yellow") for line in replaced_lines(plan.kernels)]
    if any(expert_layer(layer.layer) and layer.format.kind is not FormatKind.PLAIN for layer in plan.layers):
        told.append(Text(EXPERTS, style="dim"))
    return told + _unserved(plan)


def _unserved(plan: Plan) -> list[Text]:
    return [
        Text(f"✗ nothing here serves {choice.format.name} {choice.shape}: {choice.modules[0]}", style="red")
        for choice in unserved(plan.kernels)
    ]


def findings_text(findings: Iterable[Finding], *, brief: bool = False) -> RenderableType:
    """Findings with cause, evidence and remedy, the gravest first; ``brief``: of mere notes the summary alone."""
    order = list(MARKS)
    lines: list[RenderableType] = []
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        mark, style = MARKS[finding.severity]
        lines.append(Text.assemble((f"{mark} {finding.code} ", style), finding.summary))
        if brief and finding.severity is Severity.INFO:
            continue
        if finding.cause:
            lines.append(Text(f"    {finding.cause}", style="dim"))
        lines += [Text(f"    - {item}") for item in finding.evidence[:EVIDENCE_SHOWN]]
        if len(finding.evidence) > EVIDENCE_SHOWN:
            lines.append(Text(f"    - ... and {len(finding.evidence) - EVIDENCE_SHOWN} more (--format json)"))
        if finding.remedy:
            lines.append(Text(f"    → {finding.remedy.text}", style="bold"))
            lines += [Text(f"      $ {command}") for command in finding.remedy.commands]
    return Group(*lines)


def _layers(plan: Plan, *, every_layer: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    named = any(layer.kernel for layer in plan.layers)
    for name in ("layer", "source", "format", "bytes", "of BF16", *(("kernel",) if named else ())):
        table.add_column(name, justify="right" if name in ("bytes", "of BF16") else "left", overflow="fold")
    for label, layers in _rows(plan.layers, every_layer=every_layer):
        size = sum(layer.nbytes for layer in layers)
        plain = sum(_plain_bytes(layer) for layer in layers)
        first = layers[0]
        kernels = ", ".join(dict.fromkeys(layer.kernel for layer in layers if layer.kernel))
        cells = [label, first.source, first.format.name, human_bytes(size), ratio(size, plain)]
        table.add_row(*cells, *((kernels,) if named else ()))
    return table


def _plain_bytes(layer: LayerPlan) -> int:
    size = 2
    for extent in layer.shape:
        size *= extent
    return size


def _rows(layers: tuple[LayerPlan, ...], *, every_layer: bool) -> list[tuple[str, list[LayerPlan]]]:
    if every_layer:
        return [(layer.layer, [layer]) for layer in layers]
    rows: dict[tuple[str, str, str], list[LayerPlan]] = {}
    for layer in layers:
        key = (_pattern(layer.layer), layer.source, layer.format.name)
        rows.setdefault(key, []).append(layer)
    return [(_label(pattern, members), members) for (pattern, _, _), members in rows.items()]


def _pattern(module: str) -> str:
    """The unit's name with the layer's number left open: ``model.layers.*.mlp.gate_up_proj``."""
    parts = ["*" if part.isdecimal() else part for part in module.split(".")]
    for name, members in FUSED:
        if parts[-1] in members:
            parts[-1] = name
    return ".".join(parts)


def _label(pattern: str, members: list[LayerPlan]) -> str:
    found = [[int(part) for part in member.layer.split(".") if part.isdecimal()] for member in members]
    numbers = sorted({counts[0] for counts in found if counts})
    if not numbers:
        return pattern
    ranges = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        span = [number for _, number in run]
        ranges.append(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}")
    return pattern.replace("*", f"[{','.join(ranges)}]", 1)


def _totals(plan: Plan) -> Table:
    totals = plan.totals
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("format", "bytes", "of all"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for name, size in sorted(totals.by_format.items(), key=lambda item: -item[1]):
        table.add_row(name, human_bytes(size), ratio(size, totals.bytes))
    table.add_row("whole mixture", human_bytes(totals.bytes), "100.0 %", style="bold")
    table.add_row("the same in BF16", human_bytes(totals.bf16_bytes), ratio(totals.bf16_bytes, totals.bytes))
    saved = 1 - totals.bytes / totals.bf16_bytes if totals.bf16_bytes else 0
    table.add_row("saved against BF16", human_bytes(totals.bf16_bytes - totals.bytes), f"{saved:.1%}")
    if len(totals.bytes_per_rank) > 1:
        table.add_row(f"each of {len(totals.bytes_per_rank)} ranks", human_bytes(max(totals.bytes_per_rank)), "")
    return table
