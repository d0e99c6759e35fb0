"""The loader's cache, GPU code, readable symbols and what is remembered."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from mixprec_doctor.binaries.gpucode import GpuCode, read_gpu_code
from mixprec_doctor.binaries.loadercache import read_loader_cache
from mixprec_doctor.binaries.proofs import Proofs
from mixprec_doctor.binaries.search import is_driver_library
from mixprec_doctor.binaries.words import readable


def loader_cache(entries: list[tuple[str, str]]) -> bytes:
    """A cache as ldconfig writes it since glibc 2.2."""
    strings = b""
    offsets = []
    start = 48 + 24 * len(entries)
    for pair in entries:
        for text in pair:
            offsets.append(start + len(strings))
            strings += text.encode() + b"\0"
    rows = [struct.pack("<iIIIQ", 0x303, offsets[2 * n], offsets[2 * n + 1], 0, 0) for n in range(len(entries))]
    head = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(strings)) + b"\2" + b"\0" * 19
    return head + b"".join(rows) + strings


@pytest.mark.parametrize("before", [b"", b"ld.so-1.7.0\0" + struct.pack("<I", 0)])
def test_the_cache_of_the_loader_is_read_in_both_forms(tmp_path: Path, before: bytes) -> None:
    file = tmp_path / "ld.so.cache"
    file.write_bytes(before + loader_cache([("libz.so.1", "/lib/64/libz.so.1"), ("libz.so.1", "/lib/32/libz.so.1")]))
    assert read_loader_cache(file) == {"libz.so.1": (Path("/lib/64/libz.so.1"), Path("/lib/32/libz.so.1"))}


@pytest.mark.parametrize("content", [b"", b"something else", b"glibc-ld.so.cache1.1", loader_cache([("a", "/a")])[:60]])
def test_a_broken_cache_of_the_loader_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    assert read_loader_cache(tmp_path / "cache") == {}
    assert read_loader_cache(tmp_path / "none") == {}


def fat_binary(entries: list[tuple[int, int]]) -> bytes:
    """A container of PTX (1) and machine code (2) for architectures, 40 bytes of contents each."""
    rows = b"".join(
        struct.pack("<HHIQIIHHI", kind, 0x101, 64, 40, 0, 0, 0, 1, architecture) + b"\0" * 32 + b"\xff" * 40
        for kind, architecture in entries
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(rows)) + rows


def library_with(section: bytes) -> bytes:
    """An ELF file with a dynamic section of nothing, a section of GPU code, and the names of its sections."""
    names = b"\0.nv_fatbin\0.shstrtab\0"
    dynamic_at, section_at = 64 + 2 * 56, 64 + 2 * 56 + 16
    names_at = section_at + len(section)
    table_at = names_at + len(names)
    head = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, table_at, 0, 64, 56, 2, 64, 3, 2)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, table_at, table_at, 8)
    dynamic = struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, dynamic_at, dynamic_at, 16, 16, 8)
    row = "<IIQQQQIIQQ"
    sections = struct.pack(row, *[0] * 10)
    sections += struct.pack(row, 1, 1, 2, section_at, section_at, len(section), 0, 0, 8, 0)
    sections += struct.pack(row, 12, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return head + load + dynamic + b"\0" * 16 + section + names + sections


def test_architectures_of_gpu_code_are_read_from_all_containers(tmp_path: Path) -> None:
    library = tmp_path / "kernels.so"
    library.write_bytes(library_with(fat_binary([(2, 80), (2, 90)]) + b"\0" * 8 + fat_binary([(1, 120), (2, 75)])))
    found = read_gpu_code(library)
    assert found == GpuCode(machine_code=(75, 80, 90), ptx=(120,))
    assert str(found) == "sm_75, sm_80, sm_90, PTX for 120"
    library.write_bytes(library_with(b""))
    assert read_gpu_code(library) is None


@pytest.mark.parametrize("capability, runs", [
    ("7.0", False), ("7.5", True), ("8.0", True), ("8.9", True), ("9.0", True), ("10.0", False), ("12.0", True), ("12.1", True),
])  # fmt: skip
def test_machine_code_runs_on_its_major_number_and_ptx_on_all_that_is_newer(capability: str, runs: bool) -> None:
    assert GpuCode(machine_code=(75, 80, 90), ptx=(120,)).runs_on(capability) is runs


@pytest.mark.parametrize("symbol, name", [
    ("_ZN3c106detail14torchCheckFailEPKcS2_jRKSs", "c10::detail::torchCheckFail"),
    ("_ZN3c104cuda9SetDeviceEa", "c10::cuda::SetDevice"),
    ("_ZNK2at10TensorBase4sizeEl", "at::TensorBase::size"),
    ("_ZN3c105ErrorC1ENS_14SourceLocationE", "c10::Error::Error"),
    ("_ZN3c105ErrorD2Ev", "c10::Error::~Error"),
    ("_ZNSt6vectorIiE4dataEv", "std::vector<...>"),
    ("_Z3fooi", "foo"), ("puts", "puts"), ("_ZN999", "_ZN999"), ("_ZTVN3c105ErrorE", "_ZTVN3c105ErrorE"),
])  # fmt: skip
def test_symbols_of_cpp_are_named_readably(symbol: str, name: str) -> None:
    assert readable(symbol) == name


@pytest.mark.parametrize("name, driver", [
    ("libcuda.so.1", True), ("libnvidia-ml.so.1", True), ("libcudart.so.12", False), ("libcudnn.so.9", False),
])  # fmt: skip
def test_libraries_of_the_driver(name: str, driver: bool) -> None:
    assert is_driver_library(name) is driver


def test_a_proof_holds_until_a_file_changes(tmp_path: Path) -> None:
    library = tmp_path / "a.so"
    library.write_bytes(b"one")
    first = Proofs(["setting"], tmp_path / "cache")
    first.keep("a", [library])
    first.keep("b", [library, tmp_path / "gone.so"])
    first.save()
    assert Proofs(["setting"], tmp_path / "cache").holds("a")
    assert not Proofs(["setting"], tmp_path / "cache").holds("b")
    assert not Proofs(["another setting"], tmp_path / "cache").holds("a")
    os.utime(library, (1, 1))
    assert not Proofs(["setting"], tmp_path / "cache").holds("a")


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"a": 3}'])
def test_broken_notes_hold_nothing(tmp_path: Path, content: str) -> None:
    proofs = Proofs(["x"], tmp_path)
    proofs.keep("a", [tmp_path])
    proofs.save()
    (file,) = (tmp_path / "binaries").iterdir()
    file.write_text(content)
    assert not Proofs(["x"], tmp_path).holds("a")


def test_notes_that_cannot_be_written_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "binaries").write_text("a file in the way")
    proofs = Proofs(["x"], tmp_path)
    proofs.keep("a", [tmp_path])
    proofs.save()
    assert proofs.holds("a")
