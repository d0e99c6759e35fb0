"""Compiled modules that cannot be loaded are findings, as grave as what hangs on them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.checks import Patient, find_check
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding
from mixprec_doctor.usercode import read_code
from tests.doctor.binaries.building import compile_library, needs_gcc
from tests.doctor.binaries.test_notes import fat_binary, library_with
from tests.doctor.conftest import GPU, LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

Ask = Callable[..., list[Finding]]
OLD = "V_3.4.30 { global: wanted; };"
NEW = "V_3.4.30 { };\nV_3.4.32 { global: wanted; } V_3.4.30;"
CALLS = "void wanted(void); void caller(void) { wanted(); } void PyInit__C(void) {}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def ask(fake: FakeEnvironment) -> Ask:
    """The findings of one check; the interpreter is the one that runs the tests."""

    def find(code: str, *, about: str | None = None, **patient: object) -> list[Finding]:
        plain = fake.patient()
        environment = _with_interpreter(plain.environment)
        lines = read_code(about, environment, LAPTOP) if about else None
        return list(find_check(code).find(replace(plain, environment=environment, code=lines, **patient)))  # type: ignore[arg-type]

    return find


def _with_interpreter(environment: Environment) -> Environment:
    return replace(environment, interpreter=replace(environment.interpreter, executable=sys.executable))


def built(tmp_path: Path, source: str = CALLS, **how: object) -> bytes:
    """A compiled module."""
    return compile_library(tmp_path / "built" / "_C.abi3.so", source, **how).read_bytes()  # type: ignore[arg-type]


def old_system(tmp_path: Path) -> bytes:
    """A module that was linked against a newer library than the one that it finds beside it."""
    new = compile_library(tmp_path / "new" / "libstdcxx.so.6", "void wanted(void) {}", versions=NEW)
    return built(tmp_path, needs=[new], flags=["-Wl,-rpath,$ORIGIN"])


def with_old_library(fake: FakeEnvironment, tmp_path: Path) -> None:
    old = compile_library(tmp_path / "old" / "libstdcxx.so.6", "void wanted(void) {}", versions=OLD)
    files = {**VLLM, "vllm/_C.abi3.so": old_system(tmp_path), "vllm/libstdcxx.so.6": old.read_bytes()}
    fake.install("vllm", "0.10.2", files=files, tag="cp38-abi3-linux_x86_64")


@needs_gcc
def test_a_module_for_a_newer_system_is_an_error_for_an_engine(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    with_old_library(fake, tmp_path)
    (found,) = ask("MP404")
    assert (found.severity.value, found.engine, found.subjects) == ("error", "vllm", ("vllm._C",))
    assert "needs V_3.4.32" in found.summary
    assert "has up to 3.4.30" in found.evidence[0]


@pytest.mark.parametrize("about, severity", [
    ("import vllm._C", "error"), ("from vllm import _C", "error"), ("import vllm", "warning"),
    ("try:\n    import vllm._C\nexcept ImportError:\n    pass", "warning"), ("import json", "info"),
])  # fmt: skip
@needs_gcc
def test_with_code_it_is_an_error_only_where_the_code_imports_the_module(
    fake: FakeEnvironment, tmp_path: Path, ask: Ask, about: str, severity: str
) -> None:
    with_old_library(fake, tmp_path)
    (found,) = ask("MP404", about=about)
    assert found.severity.value == severity
    assert bool(found.subjects) is (severity == "error")


@needs_gcc
def test_an_import_inside_of_the_package_reaches_its_module(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    away = compile_library(tmp_path / "gone" / "libnever.so.1", "void wanted(void) {}")
    files = {
        "fast/__init__.py": "from .inner import go",
        "fast/inner.py": "from fast._C import go",
        "fast/_C.abi3.so": built(tmp_path, needs=[away]),
    }
    fake.install("fast", files=files, tag="cp38-abi3-linux_x86_64")
    (found,) = ask("MP405", about="import fast")
    assert found.severity.value == "error"
    assert found.remedy is not None
    assert found.remedy.commands == ("apt-get install -y libnever1",)


@needs_gcc
def test_of_variants_one_that_loads_is_enough(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    away = compile_library(tmp_path / "gone" / "libcudart.so.12", "void wanted(void) {}")
    broken, whole = built(tmp_path, needs=[away]), built(tmp_path, "void PyInit__C(void) {}")
    files = {**SGLANG, "sglang/hook_cu12.abi3.so": broken, "sglang/other.abi3.so": broken}
    fake.install("sglang", "0.5.3", files={**files, "sglang/hook_cu13.abi3.so": whole}, tag="cp38-abi3-linux_x86_64")
    (found,) = ask("MP405")
    assert "sglang.other" in found.summary
    assert not any("hook" in line for line in found.evidence)


@needs_gcc
def test_modules_that_fail_alike_are_one_finding(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    away = compile_library(tmp_path / "gone" / "libnever.so.1", "void wanted(void) {}")
    broken = built(tmp_path, needs=[away])
    files = {**SGLANG, "sglang/a.abi3.so": broken, "sglang/b.abi3.so": broken}
    fake.install("sglang", "0.5.3", files=files, tag="cp38-abi3-linux_x86_64")
    (found,) = ask("MP405")
    assert found.evidence[-1] == "nor can sglang.b"


@needs_gcc
def test_a_library_of_the_driver_is_missed_only_where_the_code_needs_it(
    fake: FakeEnvironment, tmp_path: Path, ask: Ask
) -> None:
    driver = compile_library(tmp_path / "gone" / "libcuda.so.1", "void wanted(void) {}")
    fake.install("sglang", "0.5.3", files=SGLANG, requires=["sgl-kernel"])
    files = {"sgl_kernel/__init__.py": "load()", "sgl_kernel/ops.abi3.so": built(tmp_path, needs=[driver])}
    fake.install("sgl-kernel", files=files, tag="cp38-abi3-linux_x86_64")
    assert ask("MP405") == []
    assert ask("MP405", about="import sglang") == []
    (found,) = ask("MP405", about="import sgl_kernel")
    assert found.severity.value == "error"
    assert "GPU driver" in found.cause


@needs_gcc
def test_a_module_without_its_torch_says_nothing_that_the_missing_torch_does_not_say(
    fake: FakeEnvironment, tmp_path: Path, ask: Ask
) -> None:
    away = compile_library(tmp_path / "gone" / "libtorch.so", "void wanted(void) {}")
    files = {**VLLM, "vllm/_C.abi3.so": built(tmp_path, needs=[away])}
    fake.install("vllm", "0.16.0", files=files, requires=["torch==2.9.0"], tag="cp38-abi3-linux_x86_64")
    assert ask("MP405", about="import json") == []
    assert ask("MP405") == []
    (found,) = ask("MP405", about="import vllm._C")
    assert found.remedy is not None
    assert found.remedy.commands[0].endswith(" install 'torch==2.9.0'")


def fake_torch(fake: FakeEnvironment, tmp_path: Path) -> Path:
    fake.install_torch("2.9.0")
    lib = fake.site / "torch" / "lib"
    compile_library(lib / "libtorch_global_deps.so")
    c10 = compile_library(lib / "libc10.so", "void c10_check(void) {}")
    module = fake.site / "torch" / "_C.cpython-311-x86_64-linux-gnu.so"
    compile_library(module, needs=[c10], flags=["-Wl,-rpath,$ORIGIN/lib"])
    return c10


@needs_gcc
def test_a_module_built_for_another_torch(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    c10 = fake_torch(fake, tmp_path)
    source = "void _ZN3c104cuda9SetDeviceEa(void); void f(void) { _ZN3c104cuda9SetDeviceEa(); }"
    fake.install("sglang", "0.5.3", files=SGLANG, requires=["torch==2.8.0", "sgl-kernel"])
    files = {"sgl_kernel/__init__.py": "", "sgl_kernel/ops.abi3.so": built(tmp_path, source, needs=[c10])}
    fake.install("sgl-kernel", "0.3.14", files=files, tag="cp38-abi3-linux_x86_64")
    (found,) = ask("MP406")
    assert found.severity.value == "error"
    assert "was built for another torch than torch 2.9.0" in found.summary
    assert "c10::cuda::SetDevice" in found.cause
    assert "the metadata asks for torch==2.8.0, 2.9.0 is installed" in found.evidence
    assert found.remedy is not None
    assert found.remedy.commands[0].endswith("install 'torch==2.8.0'")


@needs_gcc
def test_what_fits_its_torch_has_no_findings(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    c10 = fake_torch(fake, tmp_path)
    source = "void c10_check(void); void f(void) { c10_check(); }"
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": built(tmp_path, source, needs=[c10])}, tag="cp38-abi3-x")
    assert [ask(code) for code in ("MP404", "MP405", "MP406", "MP407", "MP408", "MP409")] == [[]] * 6
    assert ask("MP406") == []  # and the same from what was remembered


@needs_gcc
def test_a_torch_that_lacks_a_library_is_named_once(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    c10 = fake_torch(fake, tmp_path)
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": built(tmp_path, "", needs=[c10])}, tag="cp38-abi3-x")
    c10.unlink()
    (found,) = ask("MP405")
    assert (found.engine, found.subjects) == ("torch", ("torch", "torch._C"))


@needs_gcc
def test_a_symbol_of_a_newer_python(fake: FakeEnvironment, tmp_path: Path, ask: Ask) -> None:
    source = "void PyNever_Was(void); void PyInit__C(void) { PyNever_Was(); }"
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": built(tmp_path, source)}, tag="cp38-abi3-x")
    (found,) = ask("MP406")
    assert "built for another Python than 3.11" in found.summary


@pytest.mark.parametrize("content, words", [
    (b"version https://git-lfs.github.com/spec/v1\n", "is not an ELF file"), (b"", "is empty"),
])  # fmt: skip
def test_a_damaged_module(fake: FakeEnvironment, ask: Ask, content: bytes, words: str) -> None:
    fake.install("vllm", "1.0", files={**VLLM, "vllm/_C.abi3.so": content}, tag="cp38-abi3-x")
    (found,) = ask("MP409")
    assert words in found.summary
    assert found.remedy is not None
    assert found.remedy.commands[0].endswith("'vllm==1.0'")


@pytest.mark.parametrize("version, severity", [
    ("0.23.0+cu118", "error"), ("0.23.0+cu126", "info"), ("0.23.0+cu128", None), ("0.23.0", None),
])  # fmt: skip
def test_companions_for_another_cuda(fake: FakeEnvironment, ask: Ask, version: str, severity: str | None) -> None:
    fake.install_torch("2.8.0+cu128", cuda="12.8")
    fake.install("torchvision", version)
    assert [each.severity.value for each in ask("MP407")] == ([severity] if severity else [])


@pytest.mark.parametrize("capability, codes", [("9.0", []), ("12.0", ["MP408"]), (None, [])])
def test_kernels_without_code_for_the_gpu(
    fake: FakeEnvironment, ask: Ask, capability: str | None, codes: list[str]
) -> None:
    library = library_with(fat_binary([(2, 80), (2, 90)]))
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": library}, tag="cp38-abi3-x")
    machine = replace(LAPTOP, accelerators=(replace(GPU, compute_capability=capability),))
    found = ask("MP408", machine=machine)
    assert [each.code for each in found] == codes
    assert all("sm_80, sm_90" in each.evidence[0] for each in found)
    assert ask("MP408") == []


@needs_gcc
def test_a_cuda_build_of_torchvision_is_told_from_what_it_needs(
    fake: FakeEnvironment, tmp_path: Path, ask: Ask
) -> None:
    away = compile_library(tmp_path / "gone" / "libc10_cuda.so", "void wanted(void) {}")
    fake.install_torch("2.13.0+cpu")
    mentions = built(tmp_path, 'const char *text = "libc10_cuda.so";')
    fake.install("torchvision", "0.28.0", files={"torchvision/__init__.py": "", "torchvision/_C.so": mentions})
    assert ask("MP401") == []
    fake.write("torchvision/_C.so", built(tmp_path, needs=[away]))
    (found,) = ask("MP401")
    assert found.evidence[0].endswith("_C.so needs libc10_cuda.so")


def test_a_patient_keeps_what_was_worked_out(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": b"x"}, tag="cp38-abi3-x")
    patient: Patient = fake.patient()
    assert list(find_check("MP409").find(patient)) == list(find_check("MP409").find(patient))
    assert "unloadable" in patient.kept
