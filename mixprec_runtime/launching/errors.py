"""What can keep a launch from beginning, or end it before the server answers."""

from __future__ import annotations

__all__ = ["CannotWrite", "EngineFailed", "PortInUse", "RefusedPlan"]

from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.records.account import LoadAccount


class RefusedPlan(MixprecError):
    """A plan with errors: nothing was started and nothing written."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(findings)
        self.findings = findings

    def __str__(self) -> str:
        errors = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        lines = "\n".join(f"  {finding.code} {finding.summary}" for finding in errors)
        return f"the mixture cannot be served:\n{lines}\n  try: mixprec plan MIX"


class PortInUse(MixprecError):
    """A place where the server cannot listen: taken already, or none of this machine's."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, host: str, port: int, fault: str = "something listens there already") -> None:
        super().__init__(host, port, fault)
        self.host = host
        self.port = port
        self.fault = fault

    def __str__(self) -> str:
        other = self.port + 1 if self.port < 65535 else 8000
        return (
            f"wanted {self.host}:{self.port} for the server, but {self.fault}\n"
            f"  try: mixprec launch MIX -- --port {other}"
        )


class CannotWrite(MixprecError):
    """A place for what a launch writes, and why it cannot be written."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return (
            f"wanted to write to {self.path} for this launch, but: {self.fault}\n"
            "  try: make room there, or name another folder in MIXPREC_CACHE"
        )


class EngineFailed(MixprecError):
    """The engine ended before its server answered."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, code: int, log: Path, last_lines: tuple[str, ...], accounts: tuple[LoadAccount, ...]) -> None:
        super().__init__(code, log, last_lines, accounts)
        self.code = code
        self.log = log
        self.last_lines = last_lines
        self.accounts = accounts

    def __str__(self) -> str:
        faults = [(a.rank, fault) for a in self.accounts for fault in a.faults]
        if faults:
            lines = [f"loading was refused: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}"]
            lines += [f"  rank {rank}: {fault.name} {fault.text}" for rank, fault in faults]
        else:
            lines = [f"the engine ended with code {self.code} before its server answered"]
            lines += [f"  {line}" for line in self.last_lines]
        return "\n".join([*lines, f"  the engine's whole log: {self.log}"])
