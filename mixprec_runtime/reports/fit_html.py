"""A fit as one HTML page: the picture, and all units, the front and what was left out as tables to read or copy."""

from __future__ import annotations

__all__ = ["fit_html"]

from collections.abc import Iterator
from pathlib import Path

from mixprec_runtime.records.fit import ChoiceUnit
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_look import loss_figure
from mixprec_runtime.reports.fit_svg import fit_svg
from mixprec_runtime.reports.html_page import folded_table, html_page
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, text


def fit_html(report: FitReport) -> str:
    """One file that loads nothing from anywhere."""
    parts = [fit_svg(report), _units(report)]
    if report.front:
        parts.append(_front(report))
    if report.problem.left_out or report.problem.forbidden:
        parts.append(_left_out(report))
    if report.notes or report.seconds:
        notes = [*report.notes, *(f"{step}: {seconds:.1f} s" for step, seconds in report.seconds.items())]
        lines = [element("tr", element("td", text(note), klass="name")) for note in notes]
        parts.append(folded_table("Notes, and where time went", ["note"], lines, names=1))
    return html_page(f"Fit of {Path(report.mix).name}", *parts)


def _units(report: FitReport) -> str:
    heads = ["unit", "taken from", "format"]
    heads += [f"{source}: {what}" for source in report.sources for what in ("bytes", "loss")]
    return folded_table("All units", heads, (_unit(unit, report) for unit in report.problem.units), names=3)


def _unit(unit: ChoiceUnit, report: FitReport) -> str:
    chosen = unit.option(report.chosen.sources[unit.name])
    cells = [element("td", text(name), klass="name") for name in (unit.name, chosen.source, chosen.format.name)]
    options = {option.source: option for option in unit.options}
    for source in report.sources:
        option = options.get(source)
        if option is None:
            cells += [element("td", "–"), element("td", "–")]
            continue
        about = "~" if (unit.name, source) in report.losses.scaled else ""
        figure = about + loss_figure(report.losses.alone[unit.name, source])
        cells += [
            element("td", human_bytes(option.bytes), title=f"{option.bytes:,} bytes"),
            element("td", text(figure)),
        ]
    return element("tr", *cells)


def _front(report: FitReport) -> str:
    rows = [
        element(
            "tr", element("td", human_bytes(each.bytes), title=f"{each.bytes:,} bytes"),
            element("td", text(loss_figure(each.loss))),
            *(element("td", str(list(each.sources.values()).count(source))) for source in report.sources),
        )
        for each in report.front
    ]  # fmt: skip
    heads = ["bytes", "loss", *(f"units from {source}" for source in report.sources)]
    return folded_table("The best mixtures for their bytes", heads, rows, names=0)


def _left_out(report: FitReport) -> str:
    return folded_table("What cannot be served", ["choices", "why"], _reasons(report), names=2)


def _reasons(report: FitReport) -> Iterator[str]:
    for each in (*report.problem.left_out, *report.problem.forbidden):
        choices = ", ".join(f"{name} from {source}" for name, source in each.choices)
        yield element("tr", *(element("td", text(words), klass="name") for words in (choices, each.why)))
