"""MP507: kernels that are compiled while the engine runs, and no CUDA compiler."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.finding import Finding, Remedy, Severity

# Import packages that call nvcc at run time, with the distributions that bring their kernels ready made.
_COMPILING = {"flashinfer": ("flashinfer-jit-cache",), "deep_gemm": (), "tilelang": ()}


def _find(patient: Patient) -> Iterator[Finding]:
    machine, environment = patient.machine, patient.environment
    served = [engine for engine in patient.engines if engine.engine != "torch"]
    if not machine.accelerators or machine.nvcc is not None or not served or _in_a_wheel(patient):
        return
    affected = [
        package
        for package, ready in _COMPILING.items()
        if locate_package(environment, package) is not None and not any(environment.find(name) for name in ready)
    ]
    if not affected:
        return
    asks = patient.engine("sglang") is not None and patient.code is None
    lacking = [name for name, found in (("ninja", machine.ninja), ("a C++ compiler", machine.compiler)) if not found]
    yield Finding(
        code="MP507",
        # vLLM asks whether there is a compiler and takes other kernels; SGLang compiles when it starts.
        severity=Severity.WARNING if asks else Severity.INFO,
        engine=served[0].engine,
        summary=f"no nvcc here, and {', '.join(affected)} may compile kernels while the engine runs",
        cause="kernels that were not shipped ready made for this GPU are compiled on first use",
        evidence=(
            "looked in CUDA_HOME, on PATH, in /usr/local/cuda and in the environment's own wheels",
            *(f"{name} is not there either" for name in lacking),
        ),
        remedy=Remedy(
            text="install the CUDA toolkit of torch's CUDA version and set CUDA_HOME, or choose other kernels: "
            "for SGLang `--attention-backend triton --sampling-backend pytorch`"
        ),
        subjects=(served[0].engine, *affected),
    )


def _in_a_wheel(patient: Patient) -> bool:
    return any(
        place.is_file()
        for site in map(Path, patient.environment.site_paths)
        for place in site.glob("nvidia/*/bin/nvcc")
    )


CHECK = Check(
    code="MP507",
    title="No CUDA compiler for kernels that are compiled on first use",
    promise="Packages that compile kernels at run time are installed, the machine has a GPU, and there is no nvcc.",
    explanation=(
        "FlashInfer, DeepGEMM and TileLang compile some of their kernels for the GPU at hand. nvcc is looked for in "
        "CUDA_HOME, on PATH, in /usr/local/cuda and in NVIDIA's wheels in the environment. A warning beside SGLang, "
        "only noted beside vLLM, which looks for nvcc itself and takes other kernels without it."
    ),
    example="`RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist`.",
    cure="Install the CUDA toolkit and set CUDA_HOME, or choose backends that need no compiler.",
    find=_find,
)
