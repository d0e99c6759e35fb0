"""Resolutions of roles and symbols, as text and as the ``mixprec.resolve/1`` document."""

from __future__ import annotations

__all__ = ["render_roles", "render_symbols", "roles_document", "symbols_document"]

import json
from collections.abc import Iterator, Sequence

from mixprec_doctor.records.document import document
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.resolution import How, Parameter, Resolution, Status, SymbolResolution
from mixprec_doctor.reports.page import Page


def roles_document(engine: InstalledEngine, roles: Sequence[Resolution]) -> str:
    """The roles as JSON."""
    body = {"package": engine.engine, "version": engine.version, "roles": [role.to_json() for role in roles]}
    return json.dumps(document("resolve", body), indent=2, ensure_ascii=False) + "\n"


def symbols_document(engine: InstalledEngine, symbols: Sequence[SymbolResolution]) -> str:
    """The symbols as JSON."""
    body = {
        "package": engine.engine,
        "version": engine.version,
        "symbols": [symbol.to_json() for symbol in symbols],
    }
    return json.dumps(document("resolve", body), indent=2, ensure_ascii=False) + "\n"


def render_roles(engine: InstalledEngine, roles: Sequence[Resolution], page: Page) -> str:
    """The roles as text: the line that imports each and how it is called."""
    lines = [page.paint(f"{engine.engine} {engine.version or '(version unknown)'}", "bold")]
    for role in roles:
        lines += ["", *_role(role, page)]
    return "\n".join(lines) + "\n"


def render_symbols(engine: InstalledEngine, symbols: Sequence[SymbolResolution], page: Page) -> str:
    """The symbols as text: where each is defined, importable, or what there is instead."""
    lines = [page.paint(f"{engine.engine} {engine.version or '(version unknown)'}", "bold")]
    for symbol in symbols:
        lines += ["", *_symbol(symbol, engine, page)]
    return "\n".join(lines) + "\n"


def _role(role: Resolution, page: Page) -> Iterator[str]:
    marks = {Status.FOUND: ("✓", "green"), Status.PLACEHOLDER: ("!", "yellow"), Status.MISSING: ("✗", "red")}
    mark, style = marks[role.status]
    words = "" if role.status is Status.FOUND else f" {role.status.value}"
    yield f"{page.paint(mark, style)} {page.paint(role.role.value, 'bold')}{words}"
    if role.import_line:
        yield f"    {role.import_line}"
    if role.condition:
        yield from page.wrap(f"only if: {role.condition}", indent=4)
    if role.status is Status.FOUND:
        yield from _signature(role.name or "", role.parameters, page)
    if role.binding:
        call = f"{role.name}({', '.join(f'{key}=<{meaning}>' for key, meaning in role.binding.kwargs.items())})"
        if role.binding.via == "from_config":
            call = f"{role.name}.from_config(<config>)"
        yield from page.wrap(f"call: {call}", indent=6, first=4)
    if role.status is not Status.FOUND:
        for attempt in role.tried:
            yield from page.wrap(f"tried {attempt.path}: {attempt.fault}", indent=6, first=4)


def _symbol(symbol: SymbolResolution, engine: InstalledEngine, page: Page) -> Iterator[str]:
    there = bool(symbol.defined or symbol.importable)
    mark = page.paint("✓", "green") if there else page.paint("✗", "red")
    yield f"{mark} {page.paint(symbol.symbol, 'bold')}{'' if there else f': not in this {engine.engine}'}"
    for definition in symbol.defined:
        yield f"    defined in {definition.module}"
        yield from _signature(symbol.symbol, definition.parameters, page)
    for place in symbol.importable:
        if place.how is How.DEFINITION:
            continue
        condition = f", only if {place.condition}" if place.condition else ""
        yield from page.wrap(f"also in {place.module} ({place.how.value}{condition})", indent=6, first=4)
    if symbol.nearest:
        yield from page.wrap(f"nearest: {', '.join(symbol.nearest)}", indent=6, first=4)


def _signature(name: str, parameters: Sequence[Parameter], page: Page) -> Iterator[str]:
    words = [_parameter(parameter) for parameter in parameters]
    keyword = next((at for at, each in enumerate(parameters) if each.kind == "KEYWORD_ONLY"), None)
    if keyword is not None and not any(each.kind == "VAR_POSITIONAL" for each in parameters):
        words.insert(keyword, "*")
    yield from page.wrap(f"{name}({', '.join(words)})", indent=8, first=4)


def _parameter(parameter: Parameter) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind, "")
    annotation = f": {parameter.annotation}" if parameter.annotation else ""
    if parameter.default is None:
        return f"{stars}{parameter.name}{annotation}"
    return f"{parameter.name}{annotation} = {parameter.default}" if annotation else (
        f"{parameter.name}={parameter.default}"
    )  # fmt: skip
