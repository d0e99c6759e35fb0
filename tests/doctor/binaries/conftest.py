"""An environment whose interpreter is the one that runs the tests, so that verdicts can be held against the loader."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.records.environment import Environment
from tests.doctor.binaries.building import compile_library
from tests.doctor.conftest import FakeEnvironment


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def read(fake: FakeEnvironment) -> Callable[[], Environment]:
    """The fake environment, with a real interpreter."""

    def environment() -> Environment:
        found = fake.read()
        return replace(found, interpreter=replace(found.interpreter, executable=sys.executable))

    return environment


@pytest.fixture
def torch(fake: FakeEnvironment) -> Path:
    """A torch of four libraries; its folder of libraries."""
    fake.install_torch("2.8.0")
    lib = fake.site / "torch" / "lib"
    c10 = compile_library(lib / "libc10.so", "void c10_check(void) {}")
    flags = ["-Wl,-rpath,$ORIGIN"]
    cpu = compile_library(lib / "libtorch_cpu.so", "void at_empty(void) {}", needs=[c10], flags=flags)
    compile_library(lib / "libtorch_global_deps.so")
    module = fake.site / "torch" / "_C.cpython-311-x86_64-linux-gnu.so"
    compile_library(module, "void PyInit__C(void) {}", needs=[cpu], flags=["-Wl,-rpath,$ORIGIN/lib"])
    return lib
