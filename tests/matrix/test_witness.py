"""The witness of the comparison with ``inspect`` sees the faults that it is there to see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WITNESS = Path(__file__).with_name("witness.py")


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    def asked(text: str, **question: object) -> dict[str, Any]:
        (tmp_path / "engine.py").write_text(text)
        (tmp_path / "question.json").write_text(json.dumps({"modules": [], "names": [], "called": {}, **question}))
        files = (tmp_path / "question.json", tmp_path / "answer.json")
        environment = {"PYTHONPATH": str(tmp_path)}
        subprocess.run([sys.executable, WITNESS, *files], check=True, timeout=60, env=environment)
        return json.loads((tmp_path / "answer.json").read_text())

    return asked


def called(**defaults: str) -> dict[str, object]:
    return {"thing": {"module": "engine", "name": "Thing", "defaults": defaults}}


def test_a_default_read_wrongly_is_told(ask: Any) -> None:
    answer = ask("A = 2\nclass Thing:\n    def __init__(self, a=A, b=1): ...", called=called(a="A", b="True"))
    assert answer["called"]["thing"]["differ"] == {"b": "True gives True, it is 1"}


def test_a_default_that_does_not_evaluate_is_neither_right_nor_wrong(ask: Any) -> None:
    answer = ask("class Thing:\n    def __init__(self, a=1): ...", called=called(a="unheard_of"))
    assert answer["called"]["thing"]["differ"] == {}
    assert "NameError" in answer["called"]["thing"]["unread"]["a"]


def test_fields_that_make_their_value_are_compared_by_what_they_make(ask: Any) -> None:
    text = (
        "from dataclasses import dataclass, field\n"
        "@dataclass\nclass Thing:\n    a: list = field(default_factory=lambda: [1])\n    b: int = field(default=3)"
    )
    answer = ask(text, called=called(a="field(default_factory=lambda: [2])", b="field(default=3)"))
    assert list(answer["called"]["thing"]["differ"]) == ["a"]
    assert answer["called"]["thing"]["unread"] == {}


def test_parameters_carry_name_kind_and_whether_they_must_be_given(ask: Any) -> None:
    answer = ask("class Thing:\n    def __init__(self, a, *more, b=1, **rest): ...", called=called())
    assert answer["called"]["thing"]["parameters"] == [
        ["a", "POSITIONAL_OR_KEYWORD", True],
        ["more", "VAR_POSITIONAL", False],
        ["b", "KEYWORD_ONLY", False],
        ["rest", "VAR_KEYWORD", False],
    ]


def test_a_module_that_ends_the_process_is_an_answer(ask: Any) -> None:
    answer = ask("raise SystemExit('no GPU')", modules=["engine", "json"], names=["dumps", "loads_not"])
    assert answer["faults"] == {"engine": "SystemExit: no GPU"}
    assert answer["offered"] == {"json": {"dumps": ["json", "dumps"]}}


def test_a_thing_under_another_name_tells_its_own(ask: Any) -> None:
    answer = ask("from json import JSONDecoder as Thing\nVALUE = 1", modules=["engine"], names=["Thing", "VALUE"])
    assert answer["offered"]["engine"] == {"Thing": ["json.decoder", "JSONDecoder"], "VALUE": []}
