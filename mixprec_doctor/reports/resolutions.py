"""Resolutions of roles and symbols, as text and as the ``mixprec.resolve/1`` document."""

from __future__ import annotations

__all__ = ["answers_document", "render_answers"]

import json
from collections.abc import Iterator, Sequence

from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.document import document
from mixprec_doctor.records.resolution import How, Parameter, Resolution, Status, SymbolResolution
from mixprec_doctor.records.signature import signature
from mixprec_doctor.reports.page import Page


def answers_document(answers: Sequence[Answers]) -> str:
    """The answers as JSON: those of one engine are the document itself, of several its ``releases``."""
    if len(answers) == 1:
        body = answers[0].to_json()
    else:
        packages = {each.package for each in answers}
        body = {
            "package": packages.pop() if len(packages) == 1 else None,
            "version": None,
            "releases": [each.to_json() for each in answers],
        }
    return json.dumps(document("resolve", body), indent=2, ensure_ascii=False) + "\n"


def render_answers(answers: Sequence[Answers], page: Page) -> str:
    """The answers as text: the line that imports each role or symbol, and how it is called."""
    blocks = ["\n".join(_block(each, page)) + "\n" for each in answers]
    return "\n".join(blocks)


def _block(answers: Answers, page: Page) -> Iterator[str]:
    yield page.paint(answers.heading, "bold")
    for role in answers.roles or ():
        yield ""
        yield from _role(role, page)
    if answers.cure:
        yield from ("", "Install all that these imports need:", f"    {answers.cure}")
    for symbol in answers.symbols or ():
        yield ""
        yield from _symbol(symbol, answers.package, page)


def _role(role: Resolution, page: Page) -> Iterator[str]:
    marks = {Status.FOUND: ("✓", "green"), Status.PLACEHOLDER: ("!", "yellow"), Status.MISSING: ("✗", "red")}
    mark, style = marks[role.status]
    words = "" if role.status is Status.FOUND else f" {role.status.value}"
    yield f"{page.paint(mark, style)} {page.paint(role.role.value, 'bold')}{words}"
    if role.import_line:
        yield f"    {role.import_line}"
    if role.condition:
        words = "a placeholder here" if role.status is Status.PLACEHOLDER else "only if"
        yield from page.wrap(f"{words}: {role.condition}", indent=6, first=4)
    if role.formerly:
        yield from page.wrap(f"before: {role.formerly}", indent=6, first=4)
    if role.since:
        yield f"    the same since {role.since}"
    if role.status is Status.FOUND:
        yield from _signature(role.name or "", role.parameters, role.doubt, page)
    if role.binding:
        door = f"{role.name}.from_config" if role.binding.via == "from_config" else role.name
        call = ", ".join(f"{key}=<{meaning}>" for key, meaning in role.binding.kwargs.items())
        yield from page.wrap(f"call: {door}({call})", indent=6, first=4)
    for need in role.needs or ():
        yield from page.wrap(f"needs {need}", indent=6, first=4)
    if role.status is not Status.FOUND:
        for attempt in role.tried:
            yield from page.wrap(f"tried {attempt.path}: {attempt.fault}", indent=6, first=4)


def _symbol(symbol: SymbolResolution, package: str, page: Page) -> Iterator[str]:
    there = bool(symbol.defined or symbol.importable)
    mark = page.paint("✓", "green") if there else page.paint("✗", "red")
    yield f"{mark} {page.paint(symbol.symbol, 'bold')}{'' if there else f': not in this {package}'}"
    for definition in symbol.defined:
        yield f"    defined in {definition.module}"
        yield from _signature(symbol.symbol, definition.parameters, definition.doubt, page)
    for place in symbol.importable:
        if place.how is How.DEFINITION:
            continue
        condition = f", only if {place.condition}" if place.condition else ""
        yield from page.wrap(f"also in {place.module} ({place.how.value}{condition})", indent=6, first=4)
    if symbol.nearest:
        yield from page.wrap(f"nearest: {', '.join(symbol.nearest)}", indent=6, first=4)


def _signature(name: str, parameters: Sequence[Parameter], doubt: str | None, page: Page) -> Iterator[str]:
    yield from page.wrap(signature(name, parameters), indent=8, first=4)
    if doubt:
        yield from page.wrap(f"as far as can be read: {doubt}", indent=6, first=4)
