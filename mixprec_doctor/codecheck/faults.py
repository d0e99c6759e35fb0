"""Faults: what one release says against one need, as data; words are final, severity is before any guard."""

from __future__ import annotations

__all__ = ["Fault"]

from dataclasses import dataclass

from mixprec_doctor.codecheck.needs import Spot, Target
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.resolution import Parameter


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``raises`` is the exception that running the code ends in, at once; empty: it comes later."""

    code: str
    spot: Spot
    severity: Severity
    summary: str
    cause: str = ""
    evidence: tuple[str, ...] = ()
    subject: str
    raises: str = ""
    advice: str = ""
    wanted: Target | None = None  # what was looked for and is not there
    what: str = ""  # of that: "module", "name" or "member"
    keyword: str = ""  # the argument that is not known
    called: tuple[str, str] | None = None  # module and name of the definition that is called
    member: str = ""  # and the method of it
    parameters: tuple[Parameter, ...] = ()
    statement: int = 0  # line of the import statement, whose names are told together where none can be mended
    need: int = -1  # number of the need in the project
