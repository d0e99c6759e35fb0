"""MP506: fewer open files than the engine wants."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_FEW = 4096
_RAISES = re.compile(rb"(?m)^def set_ulimit\(\s*\w+(?:\s*:\s*int)?\s*=\s*(\d+)")
_PLACES = {
    "vllm": ("vllm.utils.system_utils", "vllm.utils"),
    "sglang": ("sglang.srt.utils.common", "sglang.srt.utils"),
}


def _find(patient: Patient) -> Iterator[Finding]:
    limits = patient.machine.open_files
    if limits is None or patient.code is not None:
        return
    soft, hard = limits
    for engine in patient.engines:
        wanted = _wanted(engine.engine, patient)
        # An engine that raises the soft limit itself is held back by the hard one only.
        reached = (hard if hard >= 0 else None) if wanted is not None else (soft if soft >= 0 else None)
        if engine.engine == "torch" or reached is None or reached >= (wanted or _FEW):
            continue
        yield Finding(
            code="MP506",
            severity=Severity.WARNING if reached < _FEW else Severity.INFO,
            engine=engine.engine,
            summary=f"a process may open {reached} files here"
            + (f"; {engine.engine} asks for {wanted}" if wanted else ""),
            cause="every connection to a server takes one; beyond the limit it refuses new ones",
            evidence=(f"soft limit {soft}, hard limit {hard}",),
            remedy=Remedy(text=f"raise the limit before the server starts, for many users at once: {_how(patient)}"),
            subjects=(engine.engine,),
        )


def _how(patient: Patient) -> str:
    if patient.machine.container:
        return "`docker run --ulimit nofile=65535:65535`"
    return "`ulimit -n 65535`, or nofile in /etc/security/limits.conf"


def _wanted(engine: str, patient: Patient) -> int | None:
    """What the engine's own source raises its soft limit to."""
    for module in _PLACES.get(engine, ()):
        if found := _RAISES.search(patient.exports.sources.text(module) or b""):
            return int(found[1])
    return None


CHECK = Check(
    code="MP506",
    title="Few open files for a server",
    promise="The limit of open files is below what the engine asks for.",
    explanation=(
        "Engines raise their soft limit themselves when they start, to a number that stands in their source, as far as "
        "the hard limit allows; that number is compared with the hard limit of the process that runs the doctor. "
        "Below 4096 it is a warning, above only noted."
    ),
    example="`Failed to set RLIMIT_NOFILE`, later `OSError: [Errno 24] Too many open files`.",
    cure="`ulimit -n 65535`, in containers `--ulimit nofile=65535:65535`.",
    find=_find,
)
