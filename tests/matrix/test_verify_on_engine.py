"""`mixprec doctor --verify` on a really installed engine: what was read is what Python shows, and nothing is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor import examine
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.probe import Kind, Outcome
from mixprec_doctor.records.report import Report
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.records.role import CONFIG_ROLES

pytestmark = pytest.mark.engine

PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)
LIMIT = 600.0  # seconds for each import; a cold disk has its time


@pytest.fixture(scope="module")
def report() -> Report:
    """The engine of the environment, verified once."""
    found = examine(python=PYTHON, verify=True, verify_limit=LIMIT)
    if not found.roles:
        pytest.skip(f"{PYTHON} has no engine")
    return found


def test_a_healthy_engine_is_proven_and_nothing_is_said_against_it(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        for engine in dict.fromkeys(each.request.engine for each in report.probes):
            own = [each for each in report.probes if each.request.engine == engine]
            print(f"\n{engine}: {len(own)} things tried in {sum(each.seconds for each in own):.1f} s", end="")
    assert [
        str(each.request) for each in report.probes if not each.worked and each.request.kind is not Kind.CONSTRUCT
    ] == []
    assert [each.summary for each in report.findings if each.severity is Severity.ERROR] == []


def test_python_and_the_reading_agree_about_every_role(report: Report) -> None:
    assert [each.evidence for each in report.findings if each.code == "MP213"] == []
    named = {each.request.role for each in report.probes if each.request.kind is Kind.NAME}
    assert named == {each.role.value for each in report.roles if each.status is not Status.MISSING}
    assert len(named) >= 25


def test_every_config_of_the_engine_is_constructed_or_says_why_not(report: Report) -> None:
    made = {each.request.role: each for each in report.probes if each.request.kind is Kind.CONSTRUCT}
    assert made.keys() <= {role.value for role in CONFIG_ROLES}
    assert sum(each.worked for each in made.values()) >= 5
    assert all(each.fault for each in made.values() if not each.worked)


def test_an_engine_that_hangs_while_it_starts_threads_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, living: Callable[[str], list[str]], report: Report
) -> None:
    mark = f"mixprec-test-{os.getpid()}"
    monkeypatch.setenv("MIXPREC_TEST_MARK", mark)
    code = "import torch, time\ntorch.ones(512, 512) @ torch.ones(512, 512)\ntime.sleep(10000)\n"
    found = examine(python=PYTHON, code=code, verify=True, verify_limit=30)
    assert [each.outcome for each in found.probes] == [Outcome.TIMEOUT]
    assert living(mark) == []


@pytest.fixture
def living() -> Callable[[str], list[str]]:
    """Processes that have a word in their environment."""

    def look(mark: str) -> list[str]:
        found = []
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                    found.append(process.name)
            except OSError:
                continue
        return found

    return look
