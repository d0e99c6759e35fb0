"""One HTML page around a picture: it loads nothing from anywhere, and its figures stand in tables below."""

from __future__ import annotations

__all__ = ["folded_table", "html_page"]

from collections.abc import Iterable, Sequence

from mixprec_runtime.reports.svg import element, text

_CSS = """
:root{color-scheme:light dark}
body{margin:0;background:#fff;color:#1f2328;font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:1120px;margin:0 auto}
svg.mp{width:100%;height:auto;display:block}
details{margin:0 24px 12px}
summary{cursor:pointer;font-weight:600;padding:8px 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:3px 10px;text-align:right;border-bottom:1px solid #d8dee4}
th{position:sticky;top:0;background:#fff}
th.name,td.name{text-align:left}
@media (prefers-color-scheme:dark){body,th{background:#0d1117;color:#e6edf3}th,td{border-color:#2a313a}}
"""


def html_page(title: str, *body: str) -> str:
    """The whole page; ``body`` is markup already."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        + element("title", text(title))
        + f"<style>{_CSS}</style>"
    )
    main = element("main", *body)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{main}</body></html>\n'


def folded_table(summary: str, heads: Sequence[str], rows: Iterable[str], *, names: int) -> str:
    """A table that opens when it is asked for; the first ``names`` columns are text, the others figures."""
    cells = [
        element("th", text(head), klass="name" if at < names else None, scope="col") for at, head in enumerate(heads)
    ]
    table = element("table", element("thead", element("tr", *cells)), element("tbody", *rows))
    return element("details", element("summary", text(summary)), element("div", table, klass="wide"))
