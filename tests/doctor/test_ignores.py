"""Comments that leave findings out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.project.ignores import Comment, Ignore, apply_ignores, comments_in
from mixprec_doctor.records.codefinding import CodeReport
from tests.doctor.codereporting import found, report_of


def after(text: str, *lines: int, code: str = "MP801") -> CodeReport:
    """The report on a file with a finding in some lines, after its comments were heeded."""
    report = report_of(*(found(file="x.py", line=line, code=code) for line in lines))
    return apply_ignores(report, [("x.py", None, text)])


def left(report: CodeReport) -> list[tuple[str, int]]:
    return [(each.finding.code, each.place.line) for each in report.findings]


@pytest.mark.parametrize("comment", [
    "# mixprec: ignore", "# mixprec: ignore[MP801]", "#mixprec:ignore[MP801]", "# mixprec: ignore[MP803, mp801]  why",
    "# mixprec: ignore[MP80]", "# noqa: F401  # mixprec: ignore[MP801]", "# mixprec: ignore - for old releases",
])  # fmt: skip
def test_a_comment_in_the_line_leaves_its_finding_out(comment: str) -> None:
    report = after(f"import eng  {comment}\nimport eng\n", 1, 2)
    assert ("MP801", 1) not in left(report)
    assert ("MP801", 2) in left(report)
    assert report.suppressed == 1


def test_a_comment_for_another_code_leaves_nothing_out_and_is_told() -> None:
    report = after("import eng  # mixprec: ignore[MP802]\n", 1)
    assert left(report) == [("MP801", 1), ("MP890", 1)]
    place = report.findings[1].place
    assert (place.column, place.end_column) == (31, 36)


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_any_line_of_a_statement_will_do(line: int) -> None:
    lines = ["from eng import (", "    X,", "    Y,", ")", "import eng"]
    lines[line - 1] += "  # mixprec: ignore[MP801]"
    assert left(after("\n".join(lines), 1, 2, 3, 5)) == [("MP801", 5)]


def test_a_comment_at_the_head_of_a_class_leaves_its_body_alone() -> None:
    text = "@deco\nclass A(\n  eng.B\n):  # mixprec: ignore[MP801]\n    import eng\n"
    assert left(after(text, 1, 3, 5)) == [("MP801", 5)]


def test_a_comment_in_a_body_leaves_the_head_alone() -> None:
    text = "if eng.x:\n    # a\n    y = 1  # mixprec: ignore\n"
    assert ("MP801", 1) in left(after(text, 1))


def test_a_comment_that_ignores_nothing_is_a_warning() -> None:
    assert left(after("x = 1\nimport eng  # mixprec: ignore\n")) == [("MP890", 2)]


def test_each_code_that_ignores_nothing_is_told_for_itself() -> None:
    report = after("import eng  # mixprec: ignore[MP801, MP802]\n", 1)
    assert left(report) == [("MP890", 1)]
    assert report.findings[0].finding.remedy and "MP802" in report.findings[0].finding.remedy.text


def test_a_comment_may_ask_to_be_left_alone_itself() -> None:
    assert left(after("import eng  # mixprec: ignore[MP801, MP890]\n")) == []


@pytest.mark.parametrize("comment", [
    "# mixprec: ignore MP801", "# mixprec: ignore: MP801", "# mixprec: ignored[MP801]", "# mixprec: ignore[]",
    "# mixprec: ignore[F401]", "# mixprec: ingore[MP801]", "# mixprec: noqa", "# mixprec: ignore[MP801",
])  # fmt: skip
def test_a_comment_that_is_misspelt_is_told_and_does_nothing(comment: str) -> None:
    assert left(after(f"import eng  {comment}\n", 1)) == [("MP801", 1), ("MP891", 1)]


@pytest.mark.parametrize("text", [
    "x = '# mixprec: ignore'\n", '"""\n# mixprec: ignore[MP801]\n"""\n', "# mixprec: needs eng to be there\n",
    "# see mixprec: ignore\n", "def (:  # mixprec: ignore\n", "x = 1  # mixprec ignore\n",
])  # fmt: skip
def test_what_is_no_such_comment_is_passed_over(text: str) -> None:
    assert comments_in(text) == ()


def test_cells_of_a_notebook_are_told_apart() -> None:
    report = report_of(found(file="n.ipynb", line=1, cell=1), found(file="n.ipynb", line=1, cell=3))
    heeded = apply_ignores(report, [("n.ipynb", 1, "import eng  # mixprec: ignore"), ("n.ipynb", 3, "import eng")])
    assert [each.place.cell for each in heeded.findings] == [3]


@given(st.lists(st.sampled_from(["(", ")", "\n", "x", "  # mixprec: ignore[MP801]", "\r\n", "if x:", "\t", "'"])))
def test_any_text_is_read_without_a_fault(parts: list[str]) -> None:
    for said in comments_in("".join(parts)):
        assert isinstance(said, (Comment, Ignore))
