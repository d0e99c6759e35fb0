"""Modules can be parsed in several threads at once, whatever else runs between."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator

import pytest

from mixprec_doctor.source.module import parse_module

SOURCE = b"".join(
    b"class C%d:\n    a: dict[str, list[int]] = {'x': [1, (2 + 3) * 4]}\n" % number for number in range(150)
)


class Cyclic:
    """Garbage whose collection runs Python code, and so lets other threads in."""

    def __init__(self) -> None:
        self.own = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads that change often, and garbage that is collected often."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-5)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager")
def test_threads_that_parse_do_not_disturb_one_another() -> None:
    parsed: list[str] = []

    def work() -> None:
        for _ in range(8):
            Cyclic()
            parsed.append(parse_module("m", SOURCE, is_package=False).name)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parsed == ["m"] * 48
