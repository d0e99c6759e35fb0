"""Machines that a file describes, and every fault of one at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mixprec_doctor.machine import read_machine
from mixprec_doctor.machine.description import InvalidMachine, read_description
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.reporting import report_of
from tests.doctor.test_commands import run


def described(folder: Path, text: str, name: str = "machine.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_the_short_form_counts_gpus_and_reads_sizes(tmp_path: Path) -> None:
    text = "accelerators:\n  - {name: H200, compute_capability: 9.0, memory: 141GB, count: 8}\ncpu_flags: [avx2]\n"
    machine = read_description(described(tmp_path, text))
    assert machine.accelerators is not None and len(machine.accelerators) == 8
    gpu = machine.accelerators[0]
    assert (gpu.name, gpu.compute_capability, gpu.memory_bytes) == ("H200", "9.0", 141 * 10**9)
    assert (machine.architecture, machine.cpu_flags, machine.cores) == ("x86_64", ("avx2",), None)


@pytest.mark.parametrize(("size", "count"), [('"80 GiB"', 80 * 2**30), ("512", 512), ('"1.5TB"', 15 * 10**11)])
def test_sizes_are_bytes_or_texts(tmp_path: Path, size: str, count: int) -> None:
    assert read_description(described(tmp_path, f"memory: {size}\n")).memory_bytes == count


def test_a_whole_report_and_its_machine_alone_describe_the_same(tmp_path: Path) -> None:
    document = report_of().to_json()
    whole = read_description(described(tmp_path, json.dumps(document), "report.json"))
    alone = read_description(described(tmp_path, json.dumps(document["machine"]), "machine.json"))
    assert whole == alone == report_of().machine


def test_the_machine_at_hand_survives_the_way_through_a_file(tmp_path: Path) -> None:
    here = read_machine()
    assert read_description(described(tmp_path, json.dumps(here.to_json()), "here.json")) == here


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = (
        "gpus: 1\ncores: many\nmemory: lots\ncpu_flags: avx2\n"
        "accelerators:\n  - {name: 7, compute_capability: nine, count: 0, colour: red}\n  - H100\n"
    )
    with pytest.raises(InvalidMachine) as caught:
        read_description(described(tmp_path, text))
    said = str(caught.value)
    wanted = ("unknown key 'gpus'", "cores:", "memory:", "cpu_flags:", "accelerators[0]: unknown key 'colour'", "[1]")
    assert all(word in said for word in (*wanted, "compute_capability: wanted such as '9.0'", "count:", "name:"))
    assert len(caught.value.faults) == 9


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "{", "a: [b"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidMachine):
        read_description(described(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMachine, match="not there"):
        read_description(tmp_path / "none.json")


def test_tags_of_yaml_make_no_objects(tmp_path: Path) -> None:
    with pytest.raises(InvalidMachine):
        read_description(described(tmp_path, "cpu: !!python/object/apply:os.system ['true']\n"))


def test_the_report_is_about_the_machine_that_was_described(
    fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = described(tmp_path, "accelerators: [{name: H200, memory: 141GB, count: 8}]\n")
    run(monkeypatch, "doctor", "--offline", "--site-packages", fake.root, "--machine", file)
    assert "8 times H200, 131 GiB" in capsys.readouterr().out


def test_a_faulty_file_is_misuse(
    fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = described(tmp_path, "gpus: 1\n")
    assert run(monkeypatch, "doctor", "--site-packages", fake.root, "--machine", file) == 2
    assert "unknown key 'gpus'" in capsys.readouterr().err


def test_nothing_can_be_tried_on_a_described_machine(
    fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = described(tmp_path, "cores: 2\n")
    assert run(monkeypatch, "doctor", "--site-packages", fake.root, "--machine", file, "--verify") == 2
