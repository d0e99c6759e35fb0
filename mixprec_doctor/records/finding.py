"""Finding and Remedy: a diagnosed fault with a stable code, and what to do about it."""

from __future__ import annotations

__all__ = ["Finding", "Remedy", "Severity", "worst"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Severity(str, Enum):
    """How much a finding matters; the values are those of the JSON contract."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to do: words, and commands that can be typed as they stand."""

    text: str
    commands: tuple[str, ...] = ()
    checked: bool | None = None  # whether the index has all that the commands install; None: it was not asked

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"text": self.text, "commands": list(self.commands), "checked": self.checked}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Remedy:
        """The record that ``to_json`` wrote."""
        return cls(text=raw["text"], commands=tuple(raw["commands"]), checked=raw["checked"])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One diagnosed fault. ``code`` is never renumbered and never reused."""

    code: str
    severity: Severity
    summary: str
    cause: str = ""
    engine: str | None = None
    evidence: tuple[str, ...] = ()
    remedy: Remedy | None = None  # None: the fault is known, the cure is not
    subjects: tuple[str, ...] = ()  # dotted import names that the fault is about: "vllm", "vllm._C", "outlines_core"
    follows: str | None = None  # code of the finding before it that explains this one; set when findings are grouped

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "engine": self.engine,
            "summary": self.summary,
            "cause": self.cause,
            "evidence": list(self.evidence),
            "remedy": self.remedy.to_json() if self.remedy else None,
            "subjects": list(self.subjects),
            "follows": self.follows,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Finding:
        """The record that ``to_json`` wrote."""
        return cls(
            code=raw["code"],
            severity=Severity(raw["severity"]),
            engine=raw["engine"],
            summary=raw["summary"],
            cause=raw["cause"],
            evidence=tuple(raw["evidence"]),
            remedy=Remedy.from_json(raw["remedy"]) if raw["remedy"] else None,
            subjects=tuple(raw["subjects"]),
            follows=raw["follows"],
        )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among the findings; None when there are none."""
    order = (Severity.ERROR, Severity.WARNING, Severity.INFO)
    present = {finding.severity for finding in findings}
    return next((severity for severity in order if severity in present), None)
