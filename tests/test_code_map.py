"""The code map of CONTRIBUTING.md names every module, with its own promise."""

from __future__ import annotations

from tests.write_code_map import PAGE, code_map, page_with


def test_the_map_is_what_the_modules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with(code_map()), "run python -m tests.write_code_map"
