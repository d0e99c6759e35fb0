"""Of all that a log shows, the exception that the rest followed from is named."""

from __future__ import annotations

import pytest

from mixprec_doctor.tracebacks import Root, read_log, root_of
from tests.doctor.tracebacks.test_log import LOGS, PLAIN


def root(text: str) -> Root:
    found = root_of(read_log(text).traces)
    assert found is not None
    return found


@pytest.mark.parametrize("log, message, shown", [
    ("vllm-engine-core", "No module named 'outlines_core.fsm'", "No module named 'outlines_core.fsm'"),
    ("sglang-scheduler", "gptq quantization requires some operators", "gptq quantization requires some operators"),
    ("transformers-chain", "operator torchvision::nms does not exist", "Could not import module 'LlamaConfig'"),
    ("swallowed", "cannot import name 'print_warning_once' from 'vllm.utils'", "cannot import name 'print_warning_once'"),
])  # fmt: skip
def test_the_root_is_above_its_wrappers(log: str, message: str, shown: str) -> None:
    found = root((LOGS / f"{log}.log").read_text())
    assert found.raised.message.startswith(message)
    assert found.shown.message.startswith(shown)


def test_the_end_of_a_process_is_no_root() -> None:
    assert root(f"{PLAIN}\n{PLAIN.rpartition('Module')[0]}KeyboardInterrupt\n").raised.name == "ModuleNotFoundError"


def test_what_was_raised_again_is_taken_where_it_was_raised_first() -> None:
    found = root((LOGS / "vllm-engine-core.log").read_text())
    assert found.raised.frames[-1].code == "from outlines_core.fsm.json_schema import build_regex_from_schema"


def test_an_unknown_exception_is_still_the_root() -> None:
    assert (
        root('Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nFoo: bar\n').raised.name == "Foo"
    )


def test_a_first_exception_that_says_nothing_gives_way_to_one_that_can_be_looked_up() -> None:
    plain = PLAIN.replace("ModuleNotFoundError: No module named 'torch'", "KeyError: 'x'")
    link = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert root(plain + link + PLAIN).raised.name == "ModuleNotFoundError"


def test_a_log_without_exceptions_has_no_root() -> None:
    assert root_of(read_log("INFO all is well\n").traces) is None
