"""Verdicts on libraries are those of the real loader, which a child of this interpreter is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.binaries import FaultKind, extension_faults, load_faults, torch_faults
from mixprec_doctor.records.environment import Environment
from tests.doctor.binaries.building import compile_library, dlopen, needs_gcc
from tests.doctor.conftest import FakeEnvironment

Read = Callable[[], Environment]
pytestmark = needs_gcc
CALLS = "void wanted(void); void caller(void) { wanted(); }"


def test_a_library_that_needs_nothing_special_loads(tmp_path: Path, read: Read) -> None:
    library = compile_library(
        tmp_path / "a.so", "#include <math.h>\ndouble f(double x) { return sin(x); }", flags=["-lm"]
    )
    assert dlopen(library) is None
    assert load_faults(library, read()) == ()


def test_a_needed_library_that_is_nowhere(tmp_path: Path, read: Read) -> None:
    away = compile_library(tmp_path / "gone" / "libaway.so.3", "void wanted(void) {}")
    library = compile_library(tmp_path / "a.so", CALLS, needs=[away])
    (fault,) = load_faults(library, read())
    assert "libaway.so.3" in (dlopen(library) or "")
    assert (fault.kind, fault.wanted, fault.elsewhere) == (FaultKind.NO_LIBRARY, "libaway.so.3", None)


@pytest.mark.parametrize("flag", ["--enable-new-dtags", "--disable-new-dtags"])
def test_folders_that_the_library_names_are_looked_into(tmp_path: Path, read: Read, flag: str) -> None:
    there = compile_library(tmp_path / "lib" / "libthere.so", "void wanted(void) {}")
    library = compile_library(tmp_path / "a.so", CALLS, needs=[there], flags=[f"-Wl,{flag},-rpath,$ORIGIN/lib"])
    assert dlopen(library) is None
    assert load_faults(library, read()) == ()


@pytest.mark.parametrize("flag", ["--enable-new-dtags", "--disable-new-dtags"])
def test_an_old_rpath_counts_for_what_is_loaded_further_and_a_runpath_does_not(
    tmp_path: Path, read: Read, flag: str
) -> None:
    deep = compile_library(tmp_path / "lib" / "libdeep.so", "void deeper(void) {}")
    middle = compile_library(tmp_path / "lib" / "libmiddle.so", "void wanted(void) {}", needs=[deep])
    library = compile_library(
        tmp_path / "a.so", CALLS, needs=[middle],
        flags=[f"-Wl,{flag},-rpath,$ORIGIN/lib", "-Wl,-rpath-link," + str(tmp_path / "lib")],
    )  # fmt: skip
    assert (dlopen(library) is None) == (not load_faults(library, read()))
    assert [fault.wanted for fault in load_faults(library, read())] == (["libdeep.so"] if "enable" in flag else [])


def test_ld_library_path_is_looked_into(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    there = compile_library(tmp_path / "lib" / "libthere.so", "void wanted(void) {}")
    library = compile_library(tmp_path / "a.so", CALLS, needs=[there])
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "lib"))
    assert dlopen(library) is None
    assert load_faults(library, read()) == ()


def test_a_version_that_the_library_does_not_have_yet(tmp_path: Path, read: Read) -> None:
    new = compile_library(
        tmp_path / "new" / "libv.so",
        "void wanted(void) {}",
        versions="V_3.4.9 {};\nV_3.4.32 { global: wanted; } V_3.4.9;",
    )
    library = compile_library(tmp_path / "a.so", CALLS, needs=[new], flags=["-Wl,-rpath,$ORIGIN/old"])
    compile_library(
        tmp_path / "old" / "libv.so",
        "void wanted(void) {} void w(void) {}",
        versions="V_3.4.9 { global: w; };\nV_3.4.30 { global: wanted; } V_3.4.9;",
    )
    (fault,) = load_faults(library, read())
    assert "V_3.4.32" in (dlopen(library) or "")
    assert (fault.kind, fault.wanted, fault.offered) == (FaultKind.NO_VERSION, "V_3.4.32", "V_3.4.30")
    assert fault.text.endswith(f"{tmp_path}/old/libv.so has up to 3.4.30")


def test_a_symbol_that_none_has(tmp_path: Path, read: Read) -> None:
    there = compile_library(tmp_path / "libthere.so", "void wanted(void) {}")
    library = compile_library(tmp_path / "a.so", CALLS, needs=[there], flags=["-Wl,-rpath,$ORIGIN"])
    assert load_faults(library, read()) == ()
    compile_library(there, "void renamed(void) {}")
    (fault,) = load_faults(library, replace(read(), prefix="anew", site_paths=("anew",)))
    assert "wanted" in (dlopen(library) or "")
    assert (fault.kind, fault.wanted) == (FaultKind.NO_SYMBOL, "wanted")


def test_symbols_of_the_interpreter_are_there_and_those_of_a_newer_one_are_not(tmp_path: Path, read: Read) -> None:
    library = compile_library(tmp_path / "a.so", "void Py_Initialize(void); void f(void) { Py_Initialize(); }")
    newer = compile_library(tmp_path / "b.so", "void PyNever_Was(void); void f(void) { PyNever_Was(); }")
    assert dlopen(library) is None
    assert load_faults(library, read()) == ()
    assert [fault.wanted for fault in load_faults(newer, read())] == ["PyNever_Was"]
    unknown = replace(read(), site_paths=("elsewhere",))
    unknown = replace(unknown, interpreter=replace(unknown.interpreter, executable=None))
    assert load_faults(newer, unknown) == ()


def test_libraries_that_need_one_another_end(tmp_path: Path, read: Read) -> None:
    first = compile_library(tmp_path / "libone.so", "void one(void) {}")
    second = compile_library(
        tmp_path / "libtwo.so", "void wanted(void) {}", needs=[first], flags=["-Wl,-rpath,$ORIGIN"]
    )
    compile_library(first, CALLS, needs=[second], flags=["-Wl,-rpath,$ORIGIN"])
    assert dlopen(first) is None
    assert load_faults(first, read()) == ()


def test_what_torch_has_loaded_is_there_for_those_that_need_it(tmp_path: Path, torch: Path, read: Read) -> None:
    library = compile_library(
        tmp_path / "a.so", "void at_empty(void); void c10_check(void); void f(void) { at_empty(); c10_check(); }",
        needs=[torch / "libtorch_cpu.so", torch / "libc10.so"],
    )  # fmt: skip
    assert "libtorch_cpu.so" in (dlopen(library) or "")
    assert dlopen(library, torch.parent / "_C.cpython-311-x86_64-linux-gnu.so") is None
    assert torch_faults(read()) == ()
    assert extension_faults(library, read()) == ()


def test_what_was_built_for_another_torch_names_the_symbol(tmp_path: Path, torch: Path, read: Read) -> None:
    library = compile_library(
        tmp_path / "a.so", "void _ZN2at5emptyEv(void); void f(void) { _ZN2at5emptyEv(); }", needs=[torch / "libc10.so"]
    )
    (fault,) = extension_faults(library, read())
    assert fault.kind is FaultKind.NO_SYMBOL
    assert "the symbol at::empty" in fault.text


def test_a_torch_without_one_of_its_libraries_explains_all_that_need_it(
    tmp_path: Path, torch: Path, read: Read
) -> None:
    library = compile_library(tmp_path / "a.so", needs=[torch / "libtorch_cpu.so"])
    (torch / "libc10.so").unlink()
    (fault,) = torch_faults(read())
    assert (fault.kind, fault.wanted) == (FaultKind.NO_LIBRARY, "libc10.so")
    assert extension_faults(library, read()) == (fault,)


def test_a_library_that_its_package_may_open_beforehand_is_not_missed(
    fake: FakeEnvironment, tmp_path: Path, read: Read
) -> None:
    brought = compile_library(tmp_path / "libffi_tvm.so", "void wanted(void) {}")
    fake.install("tvm", files={"tvm/lib/libffi_tvm.so": brought.read_bytes()})
    library = compile_library(tmp_path / "a.so", CALLS, needs=[brought])
    brought.unlink()
    (fault,) = load_faults(library, read())
    assert fault.elsewhere == fake.site / "tvm" / "lib" / "libffi_tvm.so"
    assert extension_faults(library, read()) == ()


def test_a_driver_library_is_told_apart(tmp_path: Path, read: Read) -> None:
    driver = compile_library(tmp_path / "gone" / "libcuda.so.1")
    library = compile_library(tmp_path / "a.so", needs=[driver])
    assert dlopen(library) is not None
    assert [fault.kind for fault in extension_faults(library, read())] == [FaultKind.NO_DRIVER]


def test_a_library_for_another_processor(tmp_path: Path, read: Read) -> None:
    library = compile_library(tmp_path / "a.so")
    content = bytearray(library.read_bytes())
    content[18:20] = (183 if content[18] == 62 else 62).to_bytes(2, "little")
    library.write_bytes(content)
    assert dlopen(library) is not None
    assert [fault.kind for fault in extension_faults(library, read())] == [FaultKind.FOREIGN]


def test_environments_of_other_systems_are_not_judged(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.so").write_bytes(b"Mach-O, perhaps")
    mac = read()
    mac = replace(mac, site_paths=("mac",), interpreter=replace(mac.interpreter, markers={"sys_platform": "darwin"}))
    assert load_faults(tmp_path / "a.so", mac) == ()
    assert [fault.kind for fault in load_faults(tmp_path / "a.so", read())] == [FaultKind.DAMAGED]
