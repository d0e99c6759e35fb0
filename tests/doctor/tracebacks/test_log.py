"""Logs as they are pasted: whatever stands in front of the lines, the tracebacks in them are found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.records.traceback import Raised
from mixprec_doctor.tracebacks import Log, read_log

LOGS = Path(__file__).parent / "logs"
PLAIN = """\
Traceback (most recent call last):
  File "/srv/job.py", line 3, in <module>
    from vllm import LLM
  File "/env/lib/python3.11/site-packages/vllm/__init__.py", line 14, in <module>
    import torch
    ^^^^^^^^^^^^
ModuleNotFoundError: No module named 'torch'
"""


def log_of(name: str) -> Log:
    return read_log((LOGS / f"{name}.log").read_text())


def only(text: str) -> Raised:
    [trace] = read_log(text).traces
    [raised] = trace.chain
    return raised


def shape(raised: Raised) -> tuple[str, str, list[tuple[int | None, str | None]]]:
    return raised.type, raised.message, [(frame.line, frame.code) for frame in raised.frames]


def test_a_traceback_has_type_message_frames_and_source() -> None:
    raised = only(PLAIN)
    assert (raised.type, raised.message) == ("ModuleNotFoundError", "No module named 'torch'")
    assert [(each.file, each.line, each.function, each.code) for each in raised.frames] == [
        ("/srv/job.py", 3, "<module>", "from vllm import LLM"),
        ("/env/lib/python3.11/site-packages/vllm/__init__.py", 14, "<module>", "import torch"),
    ]
    assert raised.line == 7


@pytest.mark.parametrize("prefix", [
    "    ",
    "> ",
    "\x1b[1;36m(EngineCore_0 pid=123)\x1b[0;0m ",
    "(EngineCore_0 pid=123) ERROR 11-21 10:00:00 [core.py:710] ",
    "(VllmWorker rank=0 pid=9) ",
    "(RayWorkerWrapper pid=1234, ip=10.0.0.1) ",
    "ERROR 11-21 10:00:00 [core.py:710] ",
    "[2026-11-21 10:00:00 TP0] ",
    "[rank0]: ",
    "vllm-1  | ",
    "vllm-1  | (EngineCore_0 pid=123) ERROR 11-21 10:00:00 [core.py:710] ",
    "2026-11-21T10:00:00.123456789Z stderr F ",
    "2026-11-21 10:00:00,123 ERROR mod: ",
    "Nov 21 10:00:00 gpu-host python[123]: ",
])  # fmt: skip
def test_what_stands_in_front_of_every_line_changes_nothing(prefix: str) -> None:
    assert shape(only("".join(f"{prefix}{line}\n" for line in PLAIN.splitlines()))) == shape(only(PLAIN))


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    assert shape(only(PLAIN.replace("\n", end))) == shape(only(PLAIN))


def test_a_head_that_is_cut_off_leaves_the_rest() -> None:
    assert shape(only("\n".join(PLAIN.splitlines()[3:]))) == (
        "ModuleNotFoundError", "No module named 'torch'", [(14, "import torch")],
    )  # fmt: skip


def test_a_traceback_without_its_end_is_none() -> None:
    assert read_log("\n".join(PLAIN.splitlines()[:-1])).traces == ()


def test_only_the_first_line_of_a_record_carries_the_stamp_of_sglang() -> None:
    first, last = log_of("sglang-scheduler").traces
    assert first.chain[0].type == "ValueError"
    assert first.chain[0].message.startswith("gptq quantization requires some operators from vllm.")
    assert last.chain[0].message == "Initialization failed. Please see the error messages above."


def test_interleaved_processes_are_taken_apart() -> None:
    traces = log_of("vllm-engine-core").traces
    assert [(trace.process, trace.chain[0].name, len(trace.chain[0].frames)) for trace in traces] == [
        ("EngineCore_DP0 pid=202", "ModuleNotFoundError", 2),
        ("EngineCore_DP0 pid=202", "ModuleNotFoundError", 2),
        ("APIServer pid=101", "RuntimeError", 2),
    ]


def test_chained_exceptions_are_one_trace_the_first_raised_first() -> None:
    [trace] = log_of("transformers-chain").traces
    assert [str(raised).partition(" '")[0] for raised in trace.chain] == [
        "RuntimeError: operator torchvision::nms does not exist",
        "ModuleNotFoundError: Could not import module",
    ]


def test_an_exception_while_another_was_handled_belongs_to_it() -> None:
    link = "\nDuring handling of the above exception, another exception occurred:\n\n"
    [trace] = read_log(PLAIN + link + PLAIN.replace("ModuleNotFoundError: No module", "ImportError: no module")).traces
    assert [raised.type for raised in trace.chain] == ["ModuleNotFoundError", "ImportError"]


def test_two_tracebacks_after_one_another_are_two() -> None:
    assert len(read_log(PLAIN + "\n" + PLAIN).traces) == 2


def test_notebooks_are_read() -> None:
    [trace] = log_of("notebook").traces
    [raised] = trace.chain
    assert raised.message.startswith("cannot import name 'GoneConfig' from 'transformers'")
    assert [(each.line, each.code) for each in raised.frames] == [
        (2, "from vllm import LLM"), (57, "from transformers import GoneConfig"),
    ]  # fmt: skip


def test_boxes_of_rich_are_read() -> None:
    [trace] = log_of("rich").traces
    [raised] = trace.chain
    assert raised.message == "No module named 'orjson'"
    assert [(each.line, each.code) for each in raised.frames] == [
        (7, "from sglang.srt.entrypoints.http_server import launch_server")
    ]


def test_exception_groups_are_read() -> None:
    text = "  + Exception Group Traceback (most recent call last):\n" + "".join(
        f"  | {line}\n" for line in [*PLAIN.splitlines()[1:3], "ExceptionGroup: unhandled errors (1 sub-exception)"]
    )
    text += "  +-+---------------- 1 ----------------\n" + "".join(f"    | {line}\n" for line in PLAIN.splitlines())
    text += "    +------------------------------------\n"
    assert [trace.chain[0].type for trace in read_log(text).traces] == ["ExceptionGroup", "ModuleNotFoundError"]


def test_a_message_of_several_lines_is_kept_whole() -> None:
    raised = only(PLAIN.rstrip() + "\n  first hint\n  second hint\n\nsomething else\n")
    assert raised.message == "No module named 'torch'\n  first hint\n  second hint"


def test_a_message_ends_where_the_next_record_begins() -> None:
    assert only(f"{PLAIN}INFO 11-21 10:00:00 [core.py:1] shutting down\n").message == "No module named 'torch'"


def test_an_error_line_without_a_traceback_counts() -> None:
    raised = only("Successfully installed a-1 b-2\nImportError: libcudart.so.12: cannot open shared object file\n")
    assert (raised.type, raised.frames) == ("ImportError", ())


def test_the_list_of_a_package_manager_holds_no_exceptions() -> None:
    assert read_log("Package    Version\n---------- -------\ntorch      2.8.0\nError-handling 1.0\n").traces == ()


@given(st.text(max_size=4000))
@settings(deadline=None)
def test_any_text_is_read_without_a_fault(text: str) -> None:
    read_log(text)


@given(st.lists(st.sampled_from([*PLAIN.splitlines(), "", "During handling of the above exception, another exception occurred:",
                                 "[rank0]: ", "│ x │", "+ Exception Group", "Error: x", "---> 3 x"]), max_size=60))  # fmt: skip
@settings(deadline=None)
def test_any_order_of_lines_is_read_without_a_fault(lines: list[str]) -> None:
    for trace in read_log("\n".join(lines)).traces:
        assert trace.chain


@pytest.mark.parametrize("line", [
    "(" * 3000, "[" * 3000, "> " * 1500, "a." * 2000, '  File "' + "x" * 3990, "Error: " * 500, " " * 3999 + "x",
    "ERROR:" * 600, "\x1b[" + "1;" * 1900, "-" * 3999, "'" * 3999, "pid=1 " * 600, "a_" * 2000 + ":",
])  # fmt: skip
def test_hostile_lines_cost_no_more_than_others(line: str) -> None:
    started = time.perf_counter()
    read_log("\n".join([PLAIN, *[line] * 200, PLAIN]))
    assert time.perf_counter() - started < 5


def test_of_a_huge_log_the_two_ends_are_read() -> None:
    noise = "INFO 11-21 10:00:00 [core.py:1] nothing happens\n" * 150_000
    assert len(read_log(PLAIN + noise + PLAIN).traces) == 2
