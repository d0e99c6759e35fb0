"""A fit as text: what comes from where, how well it does beside each source alone, and what else could be had."""

from __future__ import annotations

__all__ = ["fit_text"]

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_runtime.records.fit import ChosenMixture, Forbidden
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_look import Grid, formats_of, grid_of, letters, loss_figure, loss_unit
from mixprec_runtime.reports.sizes import human_bytes, ratio

STYLES = ("white", "bright_blue", "bright_yellow", "bright_green", "bright_magenta", "bright_cyan", "bright_red")
LABEL = 24  # width of a kind's name
SHOWN = 8  # reasons that are told
NAMED = 20  # width of a source's name in tables


def fit_text(report: FitReport) -> RenderableType:
    """The whole report; tables keep within 80 columns, and the map folds where the terminal is narrow."""
    parts: list[RenderableType] = [*_head(report), Text(), *_map(report), Text(), _sources(report)]
    parts += [Text(), _quality(report)]
    if report.front:
        parts += [Text(), _front(report)]
    parts += _left_out(report)
    if report.notes:
        parts += [Text(), *(Text(f"· {note}") for note in report.notes)]
    took = [f"{step} {seconds:.1f} s" for step, seconds in report.seconds.items() if seconds >= 0.05]
    if took:
        parts += [Text(), Text("time: " + ", ".join(took), style="dim")]
    if report.written is not None:
        parts.append(Text(f"✓ written: {report.written}", style="green"))
    return Group(*parts)


def _head(report: FitReport) -> list[Text]:
    chosen, losses = report.chosen, report.losses
    per_rank = f" ({human_bytes(max(chosen.bytes_per_rank))} on the largest rank)" * (len(chosen.bytes_per_rank) > 1)
    seconds = (
        f", {1e6 * chosen.seconds:.0f} µs a row" if report.limit and report.limit.seconds and chosen.seconds else ""
    )
    found = (
        f"{human_bytes(chosen.bytes)}{per_rank}{seconds}, foreseen loss {loss_figure(chosen.loss)} {loss_unit(losses)}"
    )
    method = f"by {losses.method}" + (f" on {losses.tokens:,} tokens of {losses.text}" if losses.text else "")
    return [
        Text(f"fit of {Path(report.mix).name} to {report.asked}: {report.goal}", style="bold"),
        Text(f"found: {found}"),
        Text(f"losses {method}; {len(report.problem.units)} units, {len(report.sources)} sources", style="dim"),
    ]


@dataclass(frozen=True, kw_only=True)
class _Map:
    """A row for each kind, a sign for each layer; folded into parts where the console is too narrow for all."""

    grid: Grid
    sources: dict[str, str]
    signs: dict[str, str]
    styles: dict[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        numbers = [layer for layer in self.grid.layers if layer is not None]
        kinds = [kind for kind in self.grid.kinds if any(layer is not None for _, layer in self._places(kind))]
        label = min(LABEL, max((len(kind) for kind in kinds), default=0))
        room = max(10, (min(options.max_width, 120) - label - 2) // 10 * 10)
        for start in range(0, len(numbers), room):
            part = numbers[start : start + room]
            yield Text(" " * (label + 2) + _ruler(part), style="dim")
            for kind in kinds:
                line = Text(_short(kind, label).ljust(label + 2))
                for layer in part:
                    line.append_text(self._cell(kind, layer))
                yield line
        for kind, place in self.grid.units:
            if place is None:
                yield Text(_short(kind, options.max_width - 4) + "  ").append_text(self._cell(kind, None))

    def _places(self, kind: str) -> list[tuple[str, int | None]]:
        return [place for place in self.grid.units if place[0] == kind]

    def _cell(self, kind: str, layer: int | None) -> Text:
        units = self.grid.units.get((kind, layer), ())
        if not units:
            return Text(" ")
        named = {self.sources[unit.name] for unit in units}
        if len(named) > 1:
            return Text("+")
        source = named.pop()
        return Text(self.signs[source], style=self.styles[source])


def _map(report: FitReport) -> list[RenderableType]:
    signs = letters(report.sources)
    styles = {source: STYLES[at % len(STYLES)] for at, source in enumerate(report.sources)}
    legend = Text()
    for source in report.sources:
        legend.append(f"{signs[source]} ", style=styles[source]).append(f"{source}   ")
    grid = grid_of(report.problem)
    return [_Map(grid=grid, sources=dict(report.chosen.sources), signs=signs, styles=styles), legend]


def _ruler(numbers: list[int]) -> str:
    """Numbers above every fifth layer, as far as they do not touch."""
    line = ""
    for at, number in enumerate(numbers):
        if number % 5 == 0 and len(line) <= at:
            line = line.ljust(at) + f"{number} "
    return line.rstrip()


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _sources(report: FitReport) -> Table:
    """What is taken from each source: units, bytes, and the part of the loss that it is to blame for."""
    table = _table("source", "format", "units", "bytes", "of all", "loses")
    formats = formats_of(report.problem)
    signs = letters(report.sources)
    for source in report.sources:
        units = [unit for unit in report.problem.units if report.chosen.sources[unit.name] == source]
        size = sum(unit.option(source).bytes for unit in units)
        lost = math.fsum(report.losses.alone[unit.name, source] for unit in units)
        about = "~" if any((unit.name, source) in report.losses.scaled for unit in units) else ""
        taken = dict.fromkeys(unit.option(source).format.name for unit in units)
        name = f"{signs[source]} {_short(source, NAMED)}"
        cells = [name, ", ".join(taken or formats[source][:1]), str(len(units)), human_bytes(size)]
        cells += [ratio(size, report.chosen.bytes), about + loss_figure(lost) if units else "-"]
        table.add_row(*cells, style="" if units else "dim")
    fixed = report.problem.fixed_bytes
    table.add_row("not chosen", "", "", human_bytes(fixed), ratio(fixed, report.chosen.bytes), "")
    both = report.chosen.loss - math.fsum(report.losses.alone[choice] for choice in report.chosen.sources.items())
    if report.losses.joint:
        table.add_row("units of a layer together", "", "", "", "", loss_figure(both))
    table.add_row(
        "this mixture", "", str(len(report.problem.units)), human_bytes(report.chosen.bytes), "",
        loss_figure(report.chosen.loss), style="bold",
    )  # fmt: skip
    return table


def _quality(report: FitReport) -> RenderableType:
    """Foreseen and measured, beside each source alone."""
    measured = {each.name: each for each in report.measured}
    table = _table("whole model", "bytes", "foreseen", *(("measured", "perplexity") if measured else ()))
    rows: list[tuple[str, str, ChosenMixture]] = [("this mixture", "mixture", report.chosen)]
    rows += [(f"all {_short(source, NAMED)}", f"all {source}", report.alone(source)) for source in report.sources]
    for label, name, mixture in rows:
        found = measured.pop(name, None)
        size = human_bytes(found.bytes if found is not None else mixture.bytes)
        cells = [label, size, loss_figure(mixture.loss)]
        if report.measured:
            cells += [loss_figure(found.divergence), f"{found.perplexity:.4g}"] if found is not None else ["-", "-"]
        table.add_row(*cells, style="bold" if name == "mixture" else "")
    for each in measured.values():
        foreseen = loss_figure(each.predicted) if each.predicted is not None else "-"
        table.add_row(
            each.name, human_bytes(each.bytes), foreseen, loss_figure(each.divergence), f"{each.perplexity:.4g}"
        )
    words = [f"foreseen: {loss_unit(report.losses)} on the text of the choice"] if report.losses.text else []
    if report.measured:
        on = f" on {report.measured_text}" if report.measured_text else ""
        words.append(
            f"measured: nats a token from the base, {max(each.tokens for each in report.measured):,} tokens{on}"
        )
    return Group(table, Text("; ".join(words), style="dim")) if words else table


def _front(report: FitReport) -> RenderableType:
    """Points of the front, and between them the one that was chosen."""
    table = _table("", "bytes", "of largest", "loses", "")
    points = _points(report)
    largest = points[-1].bytes
    most = max((each.loss for each in points), default=0.0)
    for each in points:
        mine = each.bytes == report.chosen.bytes
        bar = "▪" * round(24 * each.loss / most) if most > 0 else ""
        mark, style = ("→", "bold") if mine else ("", "")
        table.add_row(
            mark, human_bytes(each.bytes), ratio(each.bytes, largest), loss_figure(each.loss), bar, style=style
        )
    if report.front_points is None:
        said = "some of the best mixtures for their bytes: the whole front is too long"
    else:
        said = f"the best mixtures for their bytes, {len(report.front)} of {report.front_points:,}"
    return Group(table, Text(said, style="dim"))


def _points(report: FitReport) -> list[ChosenMixture]:
    """The front's points with the chosen one among them, which stands for a point that is as good as the same."""
    spread = (report.front[-1].bytes - report.front[0].bytes) / 100
    ends = (report.front[0], report.front[-1])
    kept = [each for each in report.front if each in ends or abs(each.bytes - report.chosen.bytes) > spread]
    found = {each.bytes: each for each in (*kept, report.chosen)}
    return [found[size] for size in sorted(found)]


def _left_out(report: FitReport) -> list[RenderableType]:
    """Options that are never taken, with their reasons; how much more is excluded in combinations."""
    told: list[RenderableType] = []
    groups = [
        (why, list(found)) for why, found in groupby(_by_reason(report.problem.left_out), key=lambda each: each.why)
    ]
    for why, found in groups[:SHOWN]:
        names = [f"{name} from {source}" for each in found for name, source in each.choices]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        told.append(Text(f"  {', '.join(names[:2])}{more}: {why}"))
    if len(groups) > SHOWN:
        told.append(Text(f"  ... and {len(groups) - SHOWN} more reasons (--format json)"))
    combined = len(report.problem.forbidden)
    if combined:
        why = report.problem.forbidden[0].why
        told.append(Text(f"  {combined} combinations of sources cannot be served together, the first: {why}"))
    return [Text(), Text("left out", style="bold"), *told] if told else []


def _by_reason(left_out: tuple[Forbidden, ...]) -> list[Forbidden]:
    order = list(dict.fromkeys(each.why for each in left_out))
    return sorted(left_out, key=lambda each: order.index(each.why))


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        left = name in ("source", "format", "whole model", "")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    return table
