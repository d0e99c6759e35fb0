"""MP109: mixprec is not installed where the engine would look for its plugin."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_GROUPS = {"vllm": "vllm.general_plugins", "sglang": "sglang.srt.plugins"}


def _find(patient: Patient) -> Iterator[Finding]:
    if patient.code is not None:
        return  # the code that was asked about has nothing to do with mixprec
    for engine in patient.engines:
        group = _GROUPS.get(engine.engine)
        if group is None or _registered(patient.environment, group):
            continue
        if engine.engine == "sglang" and patient.environment.find("mixprec") is not None:
            continue  # SGLang is entered through a bootstrap module where it loads no plugin
        yield Finding(
            code="MP109",
            severity=Severity.INFO,
            engine=engine.engine,
            summary=f"mixprec is not installed beside {engine.engine}: `mixprec launch` cannot enter it",
            cause=f"no distribution of the environment has an entry point mixprec in the group {group}",
            remedy=Remedy(
                text="install mixprec into the engine's environment; it moves none of the engine's pins",
                commands=(f"{installer(patient.environment)} install mixprec",),
            ),
            subjects=(engine.engine,),
        )


def _registered(environment: Environment, group: str) -> bool:
    return any(
        entry.group == group and entry.name == "mixprec"
        for distribution in environment.distributions
        for entry in distribution.entry_points
    )


CHECK = Check(
    code="MP109",
    title="mixprec's plugin is not installed beside the engine",
    promise="The engine would not find mixprec's plugin in its own environment.",
    explanation=(
        "The doctor works from outside and needs nothing installed in the examined environment. "
        "Serving a mixture is "
        "different: every process of the engine finds mixprec's quantization config and loader "
        "through an entry point, "
        "so mixprec has to be installed there."
    ),
    example=("mixprec in one virtual environment, vLLM in another; `mixprec doctor --python` works, `launch` cannot."),
    cure="In a clone of mixprec, `python -m pip install .` with the engine's own interpreter.",
    find=_find,
    about_mixprec=True,
)
