"""Repairs written into code: what is asked for changes, and nothing else."""

from __future__ import annotations

import pytest

from mixprec_doctor.mending.rewriting import Unwritable, rewrite
from mixprec_doctor.records.codefinding import CodeFinding, Place, Repair
from mixprec_doctor.records.finding import Finding, Severity

pytest.importorskip("libcst")


def fault(text: str, at: str, old: str, new: str, *, kind: str = "module") -> CodeFinding:
    """A finding with a certain repair, at the first place of some words."""
    offset = text.index(at)
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return CodeFinding(
        finding=Finding(code="MP801", severity=Severity.ERROR, summary="gone"),
        place=Place(file="x.py", line=line, column=column, end_line=line, end_column=column + len(at)),
        source=text.split("\n")[line - 1].rstrip("\r"),
        package="eng",
        releases=("1.0",),
        repair=Repair(kind=kind, old=old, new=new, certain=True),
    )


def mended(text: str, *faults: CodeFinding) -> str:
    """The text after its repairs; all of them are written."""
    done = rewrite(text.encode(), faults)
    assert dict(done.reasons) == {}
    return done.content.decode()


def reason(text: str, *faults: CodeFinding) -> str:
    """Why the only repair is not written; the text stays as it is then."""
    done = rewrite(text.encode(), faults)
    assert done.content.decode() == text
    [why] = set(done.reasons.values())
    return why


X = ("eng.a.X", "eng.b.X")

SPLITS = {
    "the first of two": ("from eng.a import X, Y\n", "from eng.a import Y\nfrom eng.b import X\n"),
    "the last of two": ("from eng.a import Y, X\n", "from eng.a import Y\nfrom eng.b import X\n"),
    "the middle": ("from eng.a import W, X, Y\n", "from eng.a import W, Y\nfrom eng.b import X\n"),
    "an alias": ("from eng.a import X as Z, Y\n", "from eng.a import Y\nfrom eng.b import X as Z\n"),
    "in parentheses": ("from eng.a import (X, Y)\n", "from eng.a import (Y)\nfrom eng.b import X\n"),
    "the line's comment stays": (
        "from eng.a import X, Y  # noqa: F401\n",
        "from eng.a import Y  # noqa: F401\nfrom eng.b import X\n",
    ),
    "one a line, first": (
        "from eng.a import (\n    X,  # why X\n    Y,  # why Y\n)\n",
        "from eng.a import (\n    Y,  # why Y\n)\nfrom eng.b import X  # why X\n",
    ),
    "one a line, last": (
        "from eng.a import (\n    Y,  # why Y\n    X,  # why X\n)\n",
        "from eng.a import (\n    Y,  # why Y\n)\nfrom eng.b import X  # why X\n",
    ),
    "one a line, last, without a comma": (
        "from eng.a import (\n    Y,  # why Y\n    X  # why X\n)\n",
        "from eng.a import (\n    Y  # why Y\n)\nfrom eng.b import X  # why X\n",
    ),
    "one a line, middle": (
        "from eng.a import (\n    W,\n    X,\n    Y,\n)\n",
        "from eng.a import (\n    W,\n    Y,\n)\nfrom eng.b import X\n",
    ),
    "several a line, the last of it": (
        "from eng.a import (\n    W, X,  # both\n    Y,\n)\n",
        "from eng.a import (\n    W,  # both\n    Y,\n)\nfrom eng.b import X\n",
    ),
    "several a line, the first of it": (
        "from eng.a import (\n    X, W,  # both\n    Y,\n)\n",
        "from eng.a import (\n    W,  # both\n    Y,\n)\nfrom eng.b import X\n",
    ),
    "beside the closing parenthesis": (
        "from eng.a import (Y,\n                   X)\n",
        "from eng.a import (Y)\nfrom eng.b import X\n",
    ),
    "beside the closing parenthesis, after a comment": (
        "from eng.a import (Y,  # why Y\n                   X)\n",
        "from eng.a import (Y  # why Y\n                   )\nfrom eng.b import X\n",
    ),
    "a trailing comma in one line": ("from eng.a import (Y, X,)\n", "from eng.a import (Y,)\nfrom eng.b import X\n"),
    "with a backslash": ("from eng.a import Y, \\\n    X\n", "from eng.a import Y\nfrom eng.b import X\n"),
    "indented": (
        "try:\n    from eng.a import X, Y\nexcept ImportError:\n    X = None\n",
        "try:\n    from eng.a import Y\n    from eng.b import X\nexcept ImportError:\n    X = None\n",
    ),
    "without a newline at the end": ("from eng.a import X, Y", "from eng.a import Y\nfrom eng.b import X"),
    "windows line ends": ("from eng.a import X, Y\r\nx = 1\r\n", "from eng.a import Y\r\nfrom eng.b import X\r\nx = 1\r\n"),
    "a windows line among others": (
        "a = 1\nfrom eng.a import X, Y\r\nx = 1\n",
        "a = 1\nfrom eng.a import Y\r\nfrom eng.b import X\r\nx = 1\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_one_name_of_several_moves_and_takes_its_comment_along(name: str) -> None:
    before, after = SPLITS[name]
    assert mended(before, fault(before, "X", *X)) == after


@pytest.mark.parametrize(("before", "after"), [
    ("from eng.a import X\n", "from eng.b import X\n"),
    ("from  eng.a  import  X as Z  # why\n", "from  eng.b  import  X as Z  # why\n"),
    ("from eng.a import (  # one\n    X,\n    # two\n)\n", "from eng.b import (  # one\n    X,\n    # two\n)\n"),
    ("import os; from eng.a import X; y = 1\n", "import os; from eng.b import X; y = 1\n"),
    ("if y: from eng.a import X\n", "if y: from eng.b import X\n"),
])  # fmt: skip
def test_an_import_of_one_name_changes_its_module_alone(before: str, after: str) -> None:
    assert mended(before, fault(before, "X", *X)) == after


def test_a_moved_module_moves_all_names_of_the_import() -> None:
    text = "from eng.a import (X as Z,\n  Y)  # both\n"
    assert mended(text, fault(text, "eng.a", "eng.a", "eng.b.c")) == text.replace("eng.a", "eng.b.c")


def test_names_that_move_to_one_module_share_an_import() -> None:
    text = "from eng.a import W, X, Y\n"
    found = mended(text, fault(text, "X", *X), fault(text, "Y", "eng.a.Y", "eng.b.Y"))
    assert found == "from eng.a import W\nfrom eng.b import X, Y\n"


def test_names_that_all_move_to_several_modules_get_an_import_each() -> None:
    text = "# head\nfrom eng.a import X, Y\n"
    found = mended(text, fault(text, "X", *X), fault(text, "Y", "eng.a.Y", "eng.c.Y"))
    assert found == "# head\nfrom eng.b import X\nfrom eng.c import Y\n"


@pytest.mark.parametrize(("before", "new", "after"), [
    ("from eng.a import X\n", "eng.a.Y", "from eng.a import Y as X\n"),
    ("from eng.a import X\n", "eng.b.Y", "from eng.b import Y as X\n"),
    ("from eng.a import X as Z, W\n", "eng.a.Y", "from eng.a import Y as Z, W\n"),
    ("from eng.a import W, X\n", "eng.b.Y", "from eng.a import W\nfrom eng.b import Y as X\n"),
    ("from eng.a import X as Y\n", "eng.a.Y", "from eng.a import Y\n"),
])  # fmt: skip
def test_a_name_that_is_called_otherwise_stays_bound_to_what_the_code_calls_it(
    before: str, new: str, after: str
) -> None:
    assert mended(before, fault(before, "X", "eng.a.X", new, kind="name")) == after


def test_a_module_imported_under_another_name_is_changed() -> None:
    text = "import os, eng.a as a  # why\n"
    assert mended(text, fault(text, "eng.a", "eng.a", "eng.b.c")) == "import os, eng.b.c as a  # why\n"


@pytest.mark.parametrize(("call", "after"), [
    ("X(1, old=2)", "X(1, new=2)"),
    ("X(\n    old = 2,  # old\n    other=old)", "X(\n    new = 2,  # old\n    other=old)"),
    ("Y(old=X(old=2))", "Y(new=X(old=2))"),
])  # fmt: skip
def test_a_renamed_argument_changes_its_name_alone(call: str, after: str) -> None:
    assert mended(call, fault(call, "old", "old", "new", kind="keyword")) == after


def test_an_argument_is_found_from_the_beginning_of_its_call_too() -> None:
    text = "y = X(1, old=2)\n"
    assert mended(text, fault(text, "X(1", "old", "new", kind="keyword")) == "y = X(1, new=2)\n"


ALONE = {
    "a comment line between": ("from eng.a import (\n    # about X\n    X,\n    Y,\n)\n", "lines of their own"),
    "in one line with others": ("import os; from eng.a import X, Y\n", "same line"),
    "relative": ("from .eng.a import X\n", "another form"),
    "star": ("from eng.a import *  # X\n", "no import|another form"),
    "not named": ("from eng.c import X\n", "does not name eng.a.X"),
    "an attribute": ("import eng.a as a\na.X\n", "no import"),
    "several with comments": ("from eng.a import (\n    W,\n    X,  # x\n    X as Z,  # z\n)\n", "beside|more"),
}  # fmt: skip


@pytest.mark.parametrize("name", [each for each in ALONE if each != "several with comments"])
def test_what_could_go_wrong_is_left_alone(name: str) -> None:
    text, why = ALONE[name]
    import re

    at = "X" if "# X" not in text else "eng.a"
    assert re.search(why, reason(text, fault(text, at, *X)))


def test_a_plain_import_of_a_module_is_left_alone_because_its_uses_name_it_whole() -> None:
    text = "import eng.a\neng.a.X\n"
    assert "all uses" in reason(text, fault(text, "eng.a", "eng.a", "eng.b"))


def test_two_repairs_of_one_name_that_disagree_are_both_left_alone() -> None:
    text = "from eng.a import X\n"
    assert "says otherwise" in reason(text, fault(text, "X", *X), fault(text, "X", "eng.a.X", "eng.c.X"))


def test_a_call_that_has_the_new_argument_already_is_left_alone() -> None:
    text = "X(old=1, new=2)\n"
    assert "already" in reason(text, fault(text, "old", "old", "new", kind="keyword"))


def test_a_file_that_has_changed_since_is_left_alone() -> None:
    text = "from eng.a import X\n"
    assert "has changed" in reason(f"# more\n\n\n{text}", fault(text, "X", *X))


@pytest.mark.parametrize("content", [b"from eng.a import X\nprint 'x'\n", b"\x00", b"\x0cfrom eng.a import X\n"])
def test_what_libcst_cannot_hand_back_is_not_written(content: bytes) -> None:
    with pytest.raises(Unwritable):
        rewrite(content, [])


@pytest.mark.parametrize("content", [
    b"\xef\xbb\xbffrom eng.a import X\r\n",
    b"# -*- coding: latin-1 -*-\nfrom eng.a import X  # \xe9\n",
    "é = 1\nfrom eng.a import X  # 中\n".encode(),
])  # fmt: skip
def test_encoding_and_mark_of_the_file_stay(content: bytes) -> None:
    text = "\n" * content[: content.index(b"from")].count(b"\n") + "from eng.a import X"
    found = rewrite(content, [fault(text, "X", *X)])
    assert found.content == content.replace(b"eng.a", b"eng.b")
