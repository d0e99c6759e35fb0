"""The machine, from the kernel's files and the driver's tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.machine import accelerators, read_machine
from mixprec_doctor.machine.accelerators import parse_listing


def test_cpu_and_memory_come_from_proc(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: A CPU\nflags\t\t: avx2 avx512f\n")
    (tmp_path / "meminfo").write_text("MemTotal:       16384 kB\n")
    machine = read_machine(proc=tmp_path)
    assert (machine.cpu, machine.cpu_flags, machine.memory_bytes) == ("A CPU", ("avx2", "avx512f"), 2**24)
    assert machine.driver is None


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    machine = read_machine(proc=tmp_path)
    assert machine.cpu is None
    assert machine.to_json()["cpu_flags"] is None


def test_a_gpu_is_a_line_of_the_listing() -> None:
    (gpu,) = parse_listing("NVIDIA H100 80GB HBM3, 9.0, 81559, 570.124.06\n")
    assert (gpu.name, gpu.compute_capability, gpu.driver) == ("NVIDIA H100 80GB HBM3", "9.0", "570.124.06")
    assert gpu.memory_bytes == 81559 * 2**20


def test_what_the_tool_does_not_say_is_unknown() -> None:
    (gpu,) = parse_listing("GB10, 12.1, [N/A], 580.1\nnonsense\n")
    assert gpu.memory_bytes is None


def test_a_driver_without_an_answering_tool_is_not_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.shutil, "which", lambda _: None)
    assert accelerators.read_accelerators(proc=tmp_path) == ()
    version = tmp_path / "driver" / "nvidia" / "version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed\n")
    assert accelerators.read_accelerators(proc=tmp_path) is None
    assert accelerators.read_driver(proc=tmp_path) == "570.124.06"
