"""MP106: SGLang and vLLM in one environment, with pins that cannot both hold."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import exclude_each_other, needed
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    vllm, sglang = patient.engine("vllm"), patient.engine("sglang")
    if vllm is None or sglang is None:
        return
    ours, theirs = _pins(vllm, patient), _pins(sglang, patient)
    clashes = [
        (ours[name], theirs[name])
        for name in sorted(ours.keys() & theirs.keys())
        if exclude_each_other(ours[name].specifier, theirs[name].specifier)
    ]
    if not clashes:
        return
    yield Finding(
        code="MP106",
        severity=Severity.WARNING if patient.code is None else Severity.INFO,  # of pins alone no code fails
        summary=(f"the pins of vLLM {vllm.version} and SGLang {sglang.version} cannot all hold in one environment"),
        cause=(
            f"{len(clashes)} of their requirements exclude each other, so at least one engine runs outside its pins"
        ),
        evidence=tuple(
            f"vLLM wants {left.name}{left.specifier}, SGLang wants {right.name}{right.specifier}"
            for left, right in clashes
        ),
        remedy=Remedy(
            text="give each engine an environment of its own; mixprec examines either with --python",
            commands=("python3 -m venv sglang-env", f"sglang-env/bin/pip install 'sglang=={sglang.version}'"),
        ),
        subjects=("sglang", "vllm"),
    )


def _pins(engine: InstalledEngine, patient: Patient) -> dict[str, Requirement]:
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    if owner is None:
        return {}
    found = needed(owner, patient.environment)
    return {canonicalize_name(each.name): each for each in found if str(each.specifier)}


CHECK = Check(
    code="MP106",
    title="SGLang and vLLM share an environment that cannot suit both",
    promise="The requirements of the two engines exclude each other.",
    explanation=(
        "Both engines pin torch, transformers and their kernel libraries exactly. Whichever was "
        "installed last has "
        "won, and the other runs with versions it was not made for. It may import and even serve; "
        "nobody has tested "
        "it. The pins are read from the metadata of the two installed releases, with their markers evaluated."
    ),
    example="SGLang 0.5.3 pins `torch==2.8.0`, vLLM 0.12.0 pins `torch==2.9.0`.",
    cure="One virtual environment for each engine.",
    find=_find,
)
