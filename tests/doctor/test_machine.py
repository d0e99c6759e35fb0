"""The machine, from the kernel's files and the driver's tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.machine import accelerators, read_machine
from mixprec_doctor.machine.accelerators import parse_cuda, parse_listing
from mixprec_doctor.machine.limits import read_container, read_memory_limit, read_open_files, read_shared_memory
from mixprec_doctor.machine.tools import find_nvcc


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


def test_the_cuda_of_the_driver_stands_in_the_head_of_the_table() -> None:
    assert parse_cuda("| NVIDIA-SMI 570.1   Driver Version: 570.1   CUDA Version: 12.8 |") == "12.8"
    assert parse_cuda("| NVIDIA-SMI 590.1   KMD Version: 590.1   CUDA UMD Version: 13.1 |") == "13.1"
    assert parse_cuda("CUDA Version: N/A") is None


def test_the_limit_of_a_container_is_that_of_its_control_group(tmp_path: Path) -> None:
    assert read_memory_limit(tmp_path) is None
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert read_memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    assert read_memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("2147483648\n")
    assert read_memory_limit(tmp_path) == 2**31


def test_a_container_leaves_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert read_container(tmp_path) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".containerenv").touch()
    assert read_container(tmp_path) == "podman"
    (tmp_path / ".dockerenv").touch()
    assert read_container(tmp_path) == "docker"


def test_limits_of_this_process() -> None:
    assert read_open_files() is not None
    assert read_shared_memory(Path("/")) is not None
    assert read_shared_memory(Path("/no/such/folder")) is None


def test_nvcc_is_looked_for_where_cuda_home_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_nvcc(tmp_path / "none") is None
    nvcc = tmp_path / "cuda-12.8" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.touch()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda-12.8"))
    found = find_nvcc(tmp_path / "none")
    assert (found.path, found.version) == (str(nvcc), "12.8") if found else False
    (tmp_path / "cuda-12.8" / "version.json").write_text('{"cuda_nvcc": {"version": "12.8.93"}}')
    found = find_nvcc(tmp_path / "none")
    assert found is not None
    assert found.version == "12.8.93"
