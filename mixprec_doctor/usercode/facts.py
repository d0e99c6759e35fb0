"""Facts: what calls at import time would learn of this machine, where that is certain."""

from __future__ import annotations

__all__ = ["changes_environment", "machine_facts"]

import re
from collections.abc import Mapping

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.sources import Sources

_CHANGES = re.compile(rb"\b(?:environ\b(?!\.get)|putenv\b|setenv\b|load_dotenv\b)")
_CPU_BUILD = re.compile(rb"^cuda\s*(?::[^=\n]*)?=\s*None", re.MULTILINE)


def machine_facts(
    machine: Machine, environment: Environment, sources: Sources, environ: Mapping[str, str] | None
) -> dict[str, object]:
    """Values of calls by their source text, as far as machine, torch's build and the environment variables decide.

    ``environ`` is None where the code itself changes the variables. ``versions`` are those of the distributions by
    import package: what ``from package import __version__`` gives.
    """
    versions = {name: each.version for each in environment.distributions for name in each.packages if each.version}
    facts: dict[str, object] = {
        "versions": versions,
        "torch.cpu.is_available()": True,
    }
    if environ is not None:
        facts["os.environ"] = dict(environ)
    if machine.architecture:
        facts["platform.machine()"] = machine.architecture
    if _CPU_BUILD.search(sources.text("torch.version") or b"") or machine.accelerators == ():
        facts["torch.cuda.is_available()"] = False
        facts["torch.cuda.device_count()"] = 0
    return facts


def changes_environment(parsed: ParsedModule) -> bool:
    """Whether lines of code may set environment variables before they import anything."""
    return _CHANGES.search(parsed.source) is not None
