"""A matrix as one HTML page that needs nothing beside it: rows are roles, columns are releases."""

from __future__ import annotations

__all__ = ["render"]

import base64
import hashlib
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from mixprec_doctor.records.matrix import Cell, Change, EngineMatrix, Matrix, ReleaseRoles, Row
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.records.signature import parameter_words
from mixprec_doctor.reports.matrices.words import SHIFTS, call_words, change_words, clipped, lost_words, verdict
from mixprec_doctor.reports.page import Page
from mixprec_doctor.version import __version__

_PARTS = Path(__file__).parent / "html_parts"
_UNREAD = -1  # the state of a cell whose release could not be read
_NOTHING_ELSE = "base-uri 'none'; form-action 'none'"
ItemT = TypeVar("ItemT", bound=Hashable)


class _Pool(Generic[ItemT]):
    """Things kept once and named by number: most signatures of a release are those of the one before."""

    def __init__(self) -> None:
        self._numbers: dict[ItemT, int] = {}

    def number(self, item: ItemT) -> int:
        return self._numbers.setdefault(item, len(self._numbers))

    def items(self) -> list[ItemT]:
        return list(self._numbers)


def render(matrix: Matrix, page: Page) -> str:
    """The matrix as a page."""
    style = (_PARTS / "page.css").read_text(encoding="utf-8")
    script = (_PARTS / "page.js").read_text(encoding="utf-8")
    parts = {
        "policy": f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; {_NOTHING_ELSE}",
        "style": style,
        "script": script,
        "data": _inert(json.dumps(_data(matrix), ensure_ascii=False, separators=(",", ":"))),
    }
    # One pass over the template: what is put in is never searched for further marks.
    first, *rest = (_PARTS / "page.html").read_text(encoding="utf-8").split("{{")
    return first + "".join(parts[name] + after for name, _, after in (each.partition("}}") for each in rest))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _inert(data: str) -> str:
    """JSON that no name of a release can leave: without the letters that begin a tag, a comment or an entity."""
    for letter in "<>&\u2028\u2029":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    return data


def _data(matrix: Matrix) -> dict[str, object]:
    texts: _Pool[str] = _Pool()
    engines = [_engine(engine, texts) for engine in matrix.engines]
    return {
        "mixprec": __version__,
        "verdict": verdict(matrix),
        "lost": [
            {
                "distribution": lost.distribution,
                "role": lost.role.value,
                "version": lost.newest,
                "text": lost_words(lost),
            }
            for lost in matrix.lost()
        ],
        "engines": engines,
        "texts": texts.items(),  # after the engines, which fill it
    }


def _engine(engine: EngineMatrix, texts: _Pool[str]) -> dict[str, object]:
    states: _Pool[str] = _Pool()
    rows = [_row(row, states, texts) for row in engine.rows]
    return {
        "engine": engine.engine,
        "distribution": engine.distribution,
        "releases": [_release(release) for release in engine.releases],
        "groups": _groups(engine.rows),
        "rows": rows,
        "states": [json.loads(state) for state in states.items()],
    }


def _release(release: ReleaseRoles) -> dict[str, object]:
    return {
        "version": release.version,
        "uploaded": release.uploaded,
        "filename": release.filename,
        "faults": list(release.faults),
    }


def _row(row: Row, states: _Pool[str], texts: _Pool[str]) -> dict[str, object]:
    changes = {
        at: {"weight": cell.weight.value, "words": [_change(each, texts) for each in cell.changes]}
        for at, cell in enumerate(row.cells)
        if cell.weight
    }
    return {"role": row.role.value, "cells": [_state(cell, states, texts) for cell in row.cells], "changes": changes}


def _change(change: Change, texts: _Pool[str]) -> list[str | int]:
    """Weight, sign, text and remark: the text of a parameter that came is that of the signature, kept once."""
    words = change_words(change)
    sign = words[:2] if words[:2] in ("+ ", "- ", "~ ") else ""
    remark = SHIFTS if words.endswith(SHIFTS) else ""
    body = words.removeprefix(sign).removesuffix(SHIFTS)
    return [change.kind.weight.value, sign, texts.number(body), remark]


def _state(cell: Cell, states: _Pool[str], texts: _Pool[str]) -> int:
    if cell.resolution is None:
        return _UNREAD
    found = cell.resolution
    return states.number(json.dumps(_facts(found, texts)))


def _facts(found: Resolution, texts: _Pool[str]) -> dict[str, object]:
    def number(text: str | None) -> int | None:
        return None if text is None else texts.number(text)

    tried = found.tried if found.status is not Status.FOUND else ()
    elsewhere = found.defined_in if found.defined_in != found.module else None
    return {
        "status": found.status.value,
        "module": number(found.module),
        "name": number(found.name),
        "parameters": [texts.number(clipped(word)) for word in parameter_words(found.parameters)],
        "defined": number(elsewhere),
        "condition": number(found.condition),
        "call": number(call_words(found)),
        "tried": [[texts.number(each.path), number(each.fault)] for each in tried],
    }


def _groups(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Titles above the rows, with the number of the first row of each."""
    groups: list[dict[str, object]] = []
    for at, row in enumerate(rows):
        title = _group(row.role)
        if not groups or groups[-1]["title"] != title:
            groups.append({"title": title, "first": at})
    return groups


def _group(role: Role) -> str:
    if role.method and role is not Role.UNQUANTIZED_LINEAR_METHOD:
        return "Formats"
    return (
        "Layers and their bases"
        if list(Role).index(role) < list(Role).index(Role.FP8_CONFIG)
        else "Loading and serving"
    )
