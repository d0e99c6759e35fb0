"""What a compiled file says of itself is read without loading it, and nothing that lies there ends in an exception."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixprec_doctor.binaries import Library, Unreadable, read_library
from mixprec_doctor.binaries.gpucode import read_gpu_code
from mixprec_doctor.binaries.library import abi_tag, module_stem
from mixprec_doctor.binaries.reading import symbol_table, undefined_symbols
from tests.doctor.binaries.building import compile_library, needs_gcc


def readable(path: Path) -> Library:
    found = read_library(path)
    assert isinstance(found, Library), found
    return found


@needs_gcc
def test_names_needs_and_search_folders_are_read(tmp_path: Path) -> None:
    other = compile_library(tmp_path / "libother.so", soname="libother.so.7")
    old = compile_library(tmp_path / "old.so", needs=[other], flags=["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../x:/y"])
    new = compile_library(tmp_path / "new.so", needs=[other], flags=["-Wl,--enable-new-dtags,-rpath,$ORIGIN"])
    assert readable(other).soname == "libother.so.7"
    assert readable(old).needed[0] == "libother.so.7"
    assert (readable(old).rpath, readable(old).runpath) == (("$ORIGIN/../x", "/y"), ())
    assert (readable(new).rpath, readable(new).runpath) == ((), ("$ORIGIN",))


@needs_gcc
def test_symbol_versions_are_read_on_both_sides(tmp_path: Path) -> None:
    library = compile_library(
        tmp_path / "libv.so", "void f(void) {}", versions="V_1.0 { global: f; };\nV_2.0 { } V_1.0;"
    )
    user = compile_library(tmp_path / "user.so", "void f(void); void g(void) { f(); }", needs=[library])
    assert {"V_1.0", "V_2.0"} <= set(readable(library).versions)
    assert ("libv.so", ("V_1.0",)) in {(need.library, need.versions) for need in readable(user).version_needs}


@pytest.mark.parametrize("style", ["gnu", "sysv"])
@needs_gcc
def test_symbols_are_found_by_either_kind_of_hash_table(tmp_path: Path, style: str) -> None:
    source = "".join(f"int f{number}(void) {{ return {number}; }}\n" for number in range(300))
    source += "extern int away(void); extern int perhaps(void) __attribute__((weak)); int g(void) { return away() + perhaps(); }"
    library = compile_library(tmp_path / f"{style}.so", source, flags=[f"-Wl,--hash-style={style}"])
    table = symbol_table(library)
    assert table is not None
    assert all(table.defines(f"f{number}") for number in range(300))
    assert not any(table.defines(name) for name in ("away", "perhaps", "f300", "", "puts"))
    assert undefined_symbols(library) == ("away",)


@pytest.mark.parametrize("name, stem, tag", [
    ("_C.abi3.so", "_C", "abi3"), ("_core.cpython-312-x86_64-linux-gnu.so", "_core", "cpython-312-x86_64-linux-gnu"),
    ("image.so", "image", None), ("libgomp-a1.so.1", None, None), ("module.pyd", None, None),
])  # fmt: skip
def test_names_of_modules(name: str, stem: str | None, tag: str | None) -> None:
    assert (module_stem(Path(name)), abi_tag(Path(name))) == (stem, tag)


@pytest.mark.parametrize("content, reason", [
    (b"", "is empty"), (b"MZ\x90\0" * 20, "is not an ELF file"), (b"\x7fELF", "has a broken ELF header"),
    (b"version https://git-lfs.github.com/spec/v1\n", "is not an ELF file"), (b"\x7fELF\x02\x01" + b"\0" * 10, "broken"),
])  # fmt: skip
def test_what_is_no_library_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.so").write_bytes(content)
    found = read_library(tmp_path / "x.so")
    assert isinstance(found, Unreadable)
    assert reason in found.reason


def test_a_pipe_and_a_missing_file_are_records_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    assert read_library(tmp_path / "pipe.so") == Unreadable(path=tmp_path / "pipe.so", reason="is no regular file")
    assert isinstance(read_library(tmp_path / "none.so"), Unreadable)


@needs_gcc
def test_a_library_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = compile_library(tmp_path / "whole.so", "int table[4096] = {1}; int f(void) { return table[1]; }")
    cut = tmp_path / "cut.so"
    cut.write_bytes(whole.read_bytes()[:12000])
    found = read_library(cut)
    assert isinstance(found, Unreadable)
    assert "cut off" in found.reason


@needs_gcc
def test_no_mutation_of_a_library_ends_in_an_exception(tmp_path: Path) -> None:
    other = compile_library(tmp_path / "libv.so", "void f(void) {}", versions="V_1.0 { global: f; };")
    whole = compile_library(
        tmp_path / "w.so", '#include <stdio.h>\nvoid f(void); void g(void) { f(); puts(""); }', needs=[other]
    ).read_bytes()
    where = [*range(64, 1200), *range(len(whole) - 5000, len(whole))]

    @settings(max_examples=250, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
    @given(
        changes=st.lists(st.tuples(st.sampled_from(where), st.integers(0, 255)), max_size=12),
        words=st.lists(st.tuples(st.sampled_from(where), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63])), max_size=3),
        end=st.integers(0, len(whole)) | st.just(len(whole)),
    )
    def mutated(changes: list[tuple[int, int]], words: list[tuple[int, int]], end: int) -> None:
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        for place, word in words:
            content[place : place + 8] = struct.pack("<Q", word)
        path = tmp_path / f"m{mutated_number()}.so"
        path.write_bytes(content[:end])
        found = read_library(path)
        assert isinstance(found, (Library, Unreadable))
        undefined_symbols(path)
        read_gpu_code(path)
        if (table := symbol_table(path)) is not None:
            table.defines("g")
        path.unlink()

    numbers = iter(range(10**6))

    def mutated_number() -> int:
        return next(numbers)

    mutated()
