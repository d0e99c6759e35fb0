"""Words for what all forms of a matrix say: changes, ranges of releases, calls."""

from __future__ import annotations

__all__ = [
    "MARKS",
    "UNREAD",
    "call_words",
    "change_words",
    "clipped",
    "lost_words",
    "mark_of",
    "range_words",
    "verdict",
]

from collections.abc import Sequence

from mixprec_doctor.records.matrix import Cell, Change, ChangeKind, Lost, Matrix
from mixprec_doctor.records.resolution import Resolution, Status

MARKS = {Status.FOUND: "✓", Status.PLACEHOLDER: "!", Status.MISSING: "✗"}
UNREAD = "?"
SHIFTS = " (shifts later positions)"
_MOST_LETTERS = 120
_SENTENCES = {
    ChangeKind.APPEARED: "appeared",
    ChangeKind.DISAPPEARED: "is gone",
    ChangeKind.BECAME_PLACEHOLDER: "a placeholder stands in for it from here on",
    ChangeKind.MOVED: "moved here from {before}",
    ChangeKind.RENAMED: "was {before} before",
    ChangeKind.BECAME_CONDITIONAL: "from here on only if {after}",
    ChangeKind.BECAME_UNCONDITIONAL: "no longer only if {before}",
    ChangeKind.PARAMETER_ADDED: "+ {after}",
    ChangeKind.PARAMETER_INSERTED: "+ {after}" + SHIFTS,
    ChangeKind.PARAMETER_REMOVED: "- {before}",
    ChangeKind.PARAMETER_RENAMED: "~ {before} is now called {after}",
    ChangeKind.PARAMETERS_REORDERED: "~ another order; moved: {parameter}",
    ChangeKind.KIND_CHANGED: "~ {parameter}: {before} is now {after}",
    ChangeKind.DEFAULT_CHANGED: "~ {parameter}: the default {before} is now {after}",
    ChangeKind.ANNOTATION_CHANGED: "~ {parameter}: the annotation {before} is now {after}",
}
_KINDS = {
    "POSITIONAL_ONLY": "positional only",
    "POSITIONAL_OR_KEYWORD": "positional or keyword",
    "KEYWORD_ONLY": "keyword only",
    "VAR_POSITIONAL": "*",
    "VAR_KEYWORD": "**",
}


def change_words(change: Change) -> str:
    """One change in one line."""
    before, after = (clipped(_KINDS.get(each or "", each) or "none") for each in (change.before, change.after))
    if change.kind is ChangeKind.DEFAULT_CHANGED and change.after == "required":
        return f"~ {change.parameter} is now required (was {before})"
    if change.kind is ChangeKind.DEFAULT_CHANGED and change.before == "required":
        return f"~ {change.parameter} is no longer required (now {after})"
    return _SENTENCES[change.kind].format(before=before, after=after, parameter=clipped(change.parameter or ""))


def clipped(text: str) -> str:
    """The text, or its beginning: some releases write whole help texts into their annotations."""
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def range_words(run: Sequence[Cell]) -> str:
    """``0.8.0 … 0.21.0``, or the one release."""
    first, last = run[0].version, run[-1].version
    return first if first == last else f"{first} … {last}"


def mark_of(resolution: Resolution | None) -> str:
    """One sign for the status."""
    return MARKS[resolution.status] if resolution else UNREAD


def call_words(resolution: Resolution) -> str | None:
    """How to call it by keyword; None for what mixprec does not call."""
    binding = resolution.binding
    if binding is None:
        return None
    if binding.via == "from_config":
        return f"{resolution.name}.from_config(<config>)"
    return f"{resolution.name}({', '.join(f'{key}=<{meaning}>' for key, meaning in binding.kwargs.items())})"


def lost_words(lost: Lost) -> str:
    """A role that got lost, in one line."""
    return f"{lost.distribution} {lost.newest} has nothing for {lost.role.value}; {lost.last} has it"


def verdict(matrix: Matrix) -> str:
    """The matrix in one line."""
    releases = [release for engine in matrix.engines for release in engine.releases]
    unread = sum(not release.readable for release in releases)
    lost = len(matrix.lost())
    parts = [f"{len(releases)} release{'s' if len(releases) != 1 else ''}"]
    if unread:
        parts.append(f"{unread} could not be read")
    parts.append(f"{lost} role{'s' if lost != 1 else ''} lost in the newest" if lost else "no role lost in the newest")
    return ", ".join(parts)
