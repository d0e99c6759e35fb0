"""A quality report as text: perplexities side by side, and how far each is from the base, with what that is worth."""

from __future__ import annotations

__all__ = ["quality_text"]

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_runtime.records.quality import FEWEST, MeasuredModel, QualityReport
from mixprec_runtime.reports.sizes import human_bytes

NAMES = {"mixture": "this mixture", "model": "the base alone"}


def quality_text(report: QualityReport) -> RenderableType:
    """The figures, and on how much text they rest."""
    base = next((model for model in report.models if model.name == "model"), None)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("whole model", "bytes", "perplexity", "nats a token above the base", "seconds"):
        table.add_column(name, justify="left" if name == "whole model" else "right", overflow="fold")
    for model in report.models:
        table.add_row(*_cells(report, model, base), style="bold" if model.name == "mixture" else "")
    parts: list[RenderableType] = [table]
    parts += [
        Text(f"! {_name(model)}: {model.fault}", style="yellow") for model in report.models if model.fault is not None
    ]
    part = "" if report.text_tokens <= _seen(report) else f" of its {report.text_tokens:,}"
    windows = f"{len(report.scored)} window{'s' if len(report.scored) > 1 else ''} of at most {report.window}"
    said = (
        f"{Path(report.text).name}: {report.tokens:,} tokens scored, of the first {_seen(report):,}{part}, in "
        f"{windows}; engine {report.engine}, dtype {report.dtype}"
    )
    parts.append(Text(said, style="dim"))
    few = "" if len(report.scored) >= FEWEST else f"; no ± with fewer than {FEWEST} windows"
    parts.append(Text(f"± one standard error over the windows; about this text alone{few}", style="dim"))
    return Group(*parts)


def _cells(report: QualityReport, model: MeasuredModel, base: MeasuredModel | None) -> tuple[str, ...]:
    found = report.perplexity(model)
    beside = report.beside(model, base) if base is not None and model is not base else None
    if found is None:
        return (_name(model), human_bytes(model.bytes), "-", "-", "-")
    above = "-" if beside is None else f"{beside[0]:+.4f}"
    if beside is not None and beside[1] is not None:
        above += f" ± {beside[1]:.4f}"
    return (_name(model), human_bytes(model.bytes), f"{found:.4g}", above, f"{model.seconds:.1f}")


def _name(model: MeasuredModel) -> str:
    return NAMES.get(model.name, f"{model.name} alone")


def _seen(report: QualityReport) -> int:
    """Tokens that stood in a window; the first of each is foreseen from nothing, and not scored."""
    return report.tokens + len(report.scored)
