"""The forms that a memory report can be written in, by the name that ``--format`` gives; and those a launch leaves."""

from __future__ import annotations

__all__ = ["MEMORY_FORMATS", "form_of", "keep_memory", "render_memory"]

import json
from collections.abc import Sequence
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.launching.launch import Launch
from mixprec_runtime.launching.memory import MEMORY_FILE, measured_memory
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.memory import MemoryReport

MEMORY_FORMATS = ("text", "json", "html", "svg")


def form_of(output: Path | None) -> str:
    """What the suffix of a file says, or text."""
    named = output.suffix.removeprefix(".").lower() if output is not None else ""
    return {"htm": "html"}.get(named, named) if named in (*MEMORY_FORMATS, "htm") else "text"


def render_memory(report: MemoryReport, form: str, *, every_layer: bool = False, to_file: bool = False) -> str:
    """The report in one of MEMORY_FORMATS."""
    if form == "json":
        return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "svg":
        from mixprec_runtime.reports.memory_svg import memory_svg

        return memory_svg(report) + "\n"
    if form == "html":
        from mixprec_runtime.reports.memory_html import memory_html

        return memory_html(report)
    from mixprec_runtime.reports.console import render
    from mixprec_runtime.reports.memory_text import memory_text

    return render(memory_text(report, every_layer=every_layer), to_file=to_file)


def keep_memory(launch: Launch, accounts: Sequence[LoadAccount], folder: Path) -> str:
    """Write ``memory.json`` and ``memory.html`` into a launch's folder; a line that says where, or why not.

    A model that is being served is worth more than a report on it, so a fault is told and ends nothing.
    """
    page = folder / MEMORY_FILE.replace(".json", ".html")
    try:
        report = measured_memory(launch, accounts)
        (folder / MEMORY_FILE).write_text(render_memory(report, "json"), encoding="utf-8")
        page.write_text(render_memory(report, "html"), encoding="utf-8")
    except (MixprecError, OSError) as fault:
        return f"no memory report: {fault}"
    return f"memory, layer by layer: {page}"
