"""Report: what one examination found, and the exit code that follows from it."""

from __future__ import annotations

__all__ = ["EngineStatus", "Report"]

from dataclasses import dataclass

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.codeanswer import CodeAnswer
from mixprec_doctor.records.document import document
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.finding import Finding, Severity, worst
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.probe import Probe
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.workload import Workload


@dataclass(frozen=True, kw_only=True)
class EngineStatus:
    """An engine and whether it can be used; None: a static examination found nothing against it."""

    engine: InstalledEngine
    usable: bool | None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return self.engine.to_json(usable=self.usable)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that `mixprec doctor` has to say."""

    target: Environment
    machine: Machine
    engines: tuple[EngineStatus, ...]
    roles: tuple[Resolution, ...]
    findings: tuple[Finding, ...]  # gravest first
    seconds: float
    verified: bool = False
    probes: tuple[Probe, ...] = ()  # what was really tried, where the examination verifies
    code: CodeAnswer | None = None  # about the lines that the user asked about
    kernels: tuple[KernelChoice, ...] = ()  # what serves the layers of the workload that was asked about
    workload: Workload | None = None  # what was asked about
    checks: tuple[str, ...] | None = None  # codes of the checks that were asked; None: all

    def exit_code(self, *, strict: bool = False) -> ExitCode:
        """The code of the contract; ``strict`` counts warnings too."""
        counted = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
        return ExitCode.FINDINGS if worst(self.findings) in counted else ExitCode.CLEAN

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.report/1`` document."""
        return document(
            "report",
            {
                "target": self.target.to_json(),
                "machine": self.machine.to_json(),
                "engines": [each.to_json() for each in self.engines],
                "roles": [each.to_json() for each in self.roles],
                "kernels": [each.to_json() for each in self.kernels],
                "findings": [each.to_json() for each in self.findings],
                "code": self.code.to_json() if self.code else None,
                "verified": self.verified,
                "probes": [each.to_json() for each in self.probes] if self.verified else None,
                "seconds": round(self.seconds, 3),
            },
        )
