"""Files, notebooks and places."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.codecheck.lines import Text
from mixprec_doctor.codecheck.notebooks import UnreadableNotebook, cells_of, plain
from tests.doctor.codecheck.conftest import Bench, told

ENGINE = {"a.py": "class X: ...\n"}


def notebook(*cells: str) -> str:
    raw = [{"cell_type": "code", "source": each.splitlines(keepends=True)} for each in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# no code"]}, *raw], "metadata": {}})


def test_cells_of_a_notebook_are_read_with_their_own_lines(bench: Bench) -> None:
    bench.write(notebook("x = 1", "%matplotlib inline\n!pip install vllm\nimport vllm.gone"), "n.ipynb")
    bench.install(ENGINE)
    (found,) = bench.report().findings
    assert (found.place.cell, found.place.line, found.source) == (3, 3, "import vllm.gone")


def test_names_of_one_cell_are_known_in_the_next(bench: Bench) -> None:
    bench.write(notebook("import vllm.a", "vllm.a.Gone"), "n.ipynb")
    bench.install(ENGINE)
    assert told(bench.report().findings) == [("MP804", "error", 1)]


@pytest.mark.parametrize("cell", ["%%bash\nimport vllm.gone", "%%html\n<import>"])
def test_a_cell_in_another_language_is_left_out(cell: str) -> None:
    assert ast.parse(plain(cell)).body == []


@pytest.mark.parametrize("line", ["%time f()", "!ls", "files = !ls", "f?", "a.b??", "  %magic"])
def test_what_only_a_notebook_understands_is_blanked_out(line: str) -> None:
    text = f"if True:\n    pass\n{line}\nx = 1" if not line.startswith(" ") else f"if True:\n{line}\nx = 1"
    assert plain(text).count("\n") == text.count("\n")
    assert ast.parse(plain(text))


@given(st.text(alphabet="abx=%!? \n\\#'\"", max_size=60))
def test_blanking_keeps_the_number_of_lines(text: str) -> None:
    assert plain(text).count("\n") == text.count("\n")


@given(st.binary(max_size=40))
def test_what_is_no_notebook_is_refused_in_words(content: bytes) -> None:
    try:
        assert all(isinstance(text, str) for _, text in cells_of(content))
    except UnreadableNotebook as fault:
        assert str(fault)


@given(st.text(alphabet="aä𝒳 \t", max_size=8))
def test_places_count_characters(before: str) -> None:
    source = f"'{before}', name"
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple)
    place = Text("f.py", source).spot(node.value.elts[1]).place
    assert source[place.column - 1 : place.end_column - 1] == "name"


def test_folders_that_hold_no_code_of_ones_own_are_left_out(bench: Bench) -> None:
    for folder in (".venv/lib", "build/lib", "__pycache__", ".git", "node_modules", "own.egg-info"):
        bench.write("import vllm.gone\n", f"{folder}/x.py")
    bench.write("home = /usr\n", "env3/pyvenv.cfg")
    bench.write("import vllm.gone\n", "env3/lib/x.py")
    bench.write("import vllm.gone\n", "src/x.py")
    bench.install(ENGINE)
    report = bench.report()
    assert [each.place.file.rpartition("code/")[2] for each in report.findings] == ["src/x.py"]
    assert report.files == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfimport vllm.gone\n",
        b"import vllm.gone\r\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe4'; import vllm.gone\n",
    ],
)
def test_files_of_any_encoding_are_read(bench: Bench, content: bytes) -> None:
    (bench.code / "x.py").write_bytes(content)
    bench.install(ENGINE)
    assert [each.finding.code for each in bench.report().findings] == ["MP801"]


def test_deep_nesting_is_told_and_does_not_end_the_check(bench: Bench) -> None:
    bench.write("import vllm\nx = " + "(" * 3000 + ")" * 3000, "deep.py")
    bench.write("import vllm\nx = " + "+".join(["vllm.a"] * 4000), "long.py")
    assert told(bench.findings("import vllm.gone\n", ENGINE)) == [("MP801", "error", 1)]
    assert bench.report().unread
