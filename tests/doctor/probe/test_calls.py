"""Functions of ours, called in the examined interpreter: their values, their parts, and their deaths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.probe import Limits, probe
from mixprec_doctor.records.probe import Kind, Outcome, ProbeRequest
from tests.doctor.probe.conftest import HASTY, PATIENT, Victim

Call = Callable[..., ProbeRequest]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """A request that lends a package of one module and calls its function ``work``."""

    def request(text: str, **arguments: Any) -> ProbeRequest:
        folder = tmp_path / "ours" / "lent"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("")
        (folder / "task.py").write_text(text)
        (folder.parent / "neighbour.py").write_text("")
        return ProbeRequest(
            kind=Kind.CALL, module="lent.task", name="work", arguments=arguments, packages={"lent": str(folder)}
        )

    return request


def test_a_call_gives_its_value(victim: Victim, call: Call) -> None:
    victim.write("patient_package.py", "FACTOR = 6\n")
    (answer,) = victim.ask(
        call("import patient_package\ndef work(number):\n    return {'is': number * patient_package.FACTOR}", number=7)
    )
    assert (answer.outcome, answer.value, answer.parts) == (Outcome.WORKED, {"is": 42}, ())


def test_what_is_lent_replaces_the_patients_own_and_brings_no_neighbours(victim: Victim, call: Call) -> None:
    victim.write("lent/__init__.py", "raise RuntimeError('the other one')\n")
    (answer,) = victim.ask(
        call("import importlib.util\ndef work():\n    return importlib.util.find_spec('neighbour') is None")
    )
    assert answer.value is True


def test_what_was_yielded_before_a_crash_is_kept_and_heard(victim: Victim, call: Call) -> None:
    heard: list[object] = []
    request = call("import os\ndef work():\n    yield 1\n    yield [2]\n    os.abort()")
    (answer,) = probe([request], python=victim.python, limits=PATIENT, heard=lambda _, part: heard.append(part))
    assert (answer.outcome, answer.signal, answer.parts) == (Outcome.SIGNAL, "SIGABRT", (1, [2]))
    assert heard == [1, [2]]


def test_what_was_yielded_before_an_exception_is_kept(victim: Victim, call: Call) -> None:
    (answer,) = victim.ask(call("def work():\n    yield 1\n    raise ValueError('no more')"))
    assert (answer.outcome, answer.parts) == (Outcome.RAISED, (1,))
    assert str(answer.fault) == "ValueError: no more"


def test_each_part_has_the_whole_time_of_a_request(victim: Victim, call: Call) -> None:
    text = "import time\ndef work():\n    for part in range(3):\n        time.sleep(1.2)\n        yield part\n    return 'end'"
    (answer,) = victim.ask(call(text), limits=Limits(each=2.5, total=30.0))
    assert (answer.outcome, answer.parts, answer.value) == (Outcome.WORKED, (0, 1, 2), "end")


def test_a_generator_that_hangs_ends_with_its_time(victim: Victim, call: Call) -> None:
    text = "import time\ndef work():\n    yield 'begun'\n    time.sleep(1000)"
    (answer,) = victim.ask(call(text), limits=HASTY)
    assert (answer.outcome, answer.parts) == (Outcome.TIMEOUT, ("begun",))


def test_a_value_that_json_does_not_have_is_a_fault_of_the_call(victim: Victim, call: Call) -> None:
    returned, yielded = (
        victim.ask(call("def work():\n    return {1, 2}")),
        victim.ask(call("def work():\n    yield {1}")),
    )
    assert [answer.outcome for answer in (*returned, *yielded)] == [Outcome.RAISED, Outcome.RAISED]


def test_a_request_after_one_that_crashed_is_still_tried(victim: Victim, call: Call) -> None:
    text = "import os\ndef work(dies):\n    yield dies\n    os._exit(3) if dies else None"
    first, second = victim.ask(call(text, dies=True), call(text, dies=False))
    assert (first.outcome, first.exit_code, first.parts) == (Outcome.EXITED, 3, (True,))
    assert (second.outcome, second.parts) == (Outcome.WORKED, (False,))
