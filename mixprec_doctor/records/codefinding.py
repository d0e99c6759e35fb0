"""CodeFinding: a fault in somebody's own code, at a place of a file, for one or many releases of a package."""

from __future__ import annotations

__all__ = ["Checked", "CodeFinding", "CodeReport", "Place", "Repair", "WorkingRange"]

from dataclasses import dataclass

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.document import document
from mixprec_doctor.records.finding import Finding, Severity, worst


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """A stretch of a file; lines and columns count from 1, the end column is the one after the last character."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    cell: int | None = None  # of a notebook, counted from 1; lines are then those of the cell

    def __str__(self) -> str:
        cell = f"cell {self.cell}:" if self.cell is not None else ""
        return f"{self.file}:{cell}{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How the code can be mended. Only one that is ``certain`` is ever written by itself.

    ``module`` and ``name`` hold whole dotted names: what the code asks for and where that is (``vllm.a.X`` and
    ``vllm.b.X``; for ``import vllm.a`` the module). ``keyword`` holds the name of an argument; ``ladder`` the text.
    """

    kind: str  # "module": another module has the name; "name": it is called otherwise; "keyword"; "ladder"
    old: str
    new: str
    certain: bool

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.check/1`` document."""
        return {"kind": self.kind, "old": self.old, "new": self.new, "certain": self.certain}


@dataclass(frozen=True, kw_only=True)
class CodeFinding:
    """One fault of the code. ``finding.code`` is an MP8xx; ``releases`` are those for which it holds, oldest first."""

    finding: Finding
    place: Place
    source: str  # the line as it stands
    package: str  # "vllm"
    releases: tuple[str, ...]  # versions
    repair: Repair | None = None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.check/1`` document."""
        return {
            **self.finding.to_json(),
            "package": self.package,
            "releases": list(self.releases),
            "file": self.place.file,
            "cell": self.place.cell,
            "line": self.place.line,
            "column": self.place.column,
            "end_line": self.place.end_line,
            "end_column": self.place.end_column,
            "source": self.source,
            "repair": self.repair.to_json() if self.repair else None,
        }


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the code was held against: a package as it is installed, or releases of it."""

    package: str
    distribution: str
    versions: tuple[str, ...]  # oldest first
    installed: bool

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.check/1`` document."""
        return {
            "package": self.package,
            "distribution": self.distribution,
            "versions": list(self.versions),
            "installed": self.installed,
        }


@dataclass(frozen=True, kw_only=True)
class WorkingRange:
    """The releases of a distribution in which no error was found, as one requirement; None: there is none."""

    distribution: str
    requirement: str | None  # "vllm>=0.11.1,<0.25.1"
    versions: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.check/1`` document."""
        return {
            "distribution": self.distribution,
            "requirement": self.requirement,
            "versions": list(self.versions),
        }


@dataclass(frozen=True, kw_only=True)
class CodeReport:
    """Everything that one `mixprec check` has to say."""

    files: int
    checked: tuple[Checked, ...]
    findings: tuple[CodeFinding, ...]  # by file and line
    ranges: tuple[WorkingRange, ...] = ()
    unheld: tuple[str, ...] = ()  # packages that the code names and that nothing was found of to hold it against
    unread: tuple[tuple[str, str], ...] = ()  # files that are no Python that can be parsed, and why
    suppressed: int = 0
    seconds: float = 0.0

    def exit_code(self, *, strict: bool = False) -> ExitCode:
        """1 with an error (with ``strict`` also a warning), 3 when nothing could be held against anything, else 0."""
        if not self.files or (self.unheld and not self.checked):
            return ExitCode.NOTHING_EXAMINED
        gravest = worst(each.finding for each in self.findings)
        failing = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
        return ExitCode.FINDINGS if gravest in failing else ExitCode.CLEAN

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.check/1`` document."""
        return document(
            "check",
            {
                "files": self.files,
                "checked": [each.to_json() for each in self.checked],
                "findings": [each.to_json() for each in self.findings],
                "ranges": [each.to_json() for each in self.ranges],
                "unheld": list(self.unheld),
                "unread": [{"file": file, "fault": fault} for file, fault in self.unread],
                "suppressed": self.suppressed,
                "seconds": round(self.seconds, 3),
            },
        )
