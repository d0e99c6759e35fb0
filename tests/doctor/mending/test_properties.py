"""Whatever an import looks like: what moved is taken from its new place, and nothing else changes."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.records.codefinding import CodeFinding, Place, Repair
from mixprec_doctor.records.finding import Finding, Severity

pytest.importorskip("libcst")
from mixprec_doctor.mending.rewriting import Rewritten, rewrite

MOVES = {"eng.a.X": "eng.b.X", "eng.a.Y": "eng.b.Y", "eng.a.Z": "eng.c.Q", "eng.a.W": "eng.a.V"}
KEYWORDS = {"old": "new"}
BEFORE = ["", "# é 中\n", "import os\n\n", '"""A text\n\nwith from eng.a import X\n"""\n', "x = 1;\n\n\n"]
AFTER = [
    "",
    "\n",
    "y = X(old=1, é=2)  # old\n",
    "\n\nclass A(X):\n\tdef f(self): return Y(\n  old =X( 1,old= 2 ) )\n",
    "x=1",
]


def faults(text: str) -> list[CodeFinding]:
    """What a check of that engine finds: names that are elsewhere, arguments that are called otherwise."""
    return list(_faults(text))


def _faults(text: str) -> Iterator[CodeFinding]:
    lines = text.replace("\r\n", "\n").split("\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                old = f"{node.module}.{alias.name}"
                if old in MOVES:
                    yield _fault(lines, alias, Repair(kind="module", old=old, new=MOVES[old], certain=True))
        elif isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            yield _fault(lines, node, Repair(kind="keyword", old=node.arg, new=KEYWORDS[node.arg], certain=True))


def _fault(lines: list[str], node: ast.alias | ast.keyword, repair: Repair) -> CodeFinding:
    source = lines[node.lineno - 1]
    column = len(source.encode()[: node.col_offset].decode()) + 1
    return CodeFinding(
        finding=Finding(code="MP801", severity=Severity.ERROR, summary=""),
        place=Place(file="x.py", line=node.lineno, column=column, end_line=node.lineno, end_column=column + 1),
        source=source,
        package="eng",
        releases=(),
        repair=repair,
    )


def bindings(text: str) -> Counter[tuple[str, str]]:
    """What each name of the text is bound to by imports."""
    return Counter(
        (alias.asname or alias.name, f"{node.module}.{alias.name}")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


def comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


@st.composite
def imports(draw: st.DrawFn) -> str:
    """``from eng.a import ...`` in any layout."""
    names = draw(st.lists(st.sampled_from("XYZWUV"), min_size=1, max_size=5, unique=True))
    parts = [name + draw(st.sampled_from(["", f" as {name.lower()}"])) for name in names]
    notes = iter(range(100))

    def gap(*, newline: bool) -> str:
        comment = draw(st.sampled_from(["", "", f"  # note {next(notes)}"]))
        return f"{comment}\n{draw(st.sampled_from(['    ', '  ', chr(9)]))}" if newline else " "

    if draw(st.booleans()):
        text = "".join(f"{part},{gap(newline=draw(st.booleans()))}" for part in parts[:-1])
        end = draw(st.sampled_from(["", ",", ",\n", "\n", "  # last\n", ",  # last\n"]))
        names_text = f"({draw(st.sampled_from(['', gap(newline=True)]))}{text}{parts[-1]}{end})"
    else:
        names_text = draw(st.sampled_from([", ", ",", ", \\\n  "])).join(parts)
    return f"from eng.a import {names_text}{draw(st.sampled_from(['', '  # whole']))}\n"


@given(imports(), st.sampled_from(BEFORE), st.sampled_from(AFTER), st.booleans(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_only_what_was_planned_changes(statement: str, before: str, after: str, indented: bool, windows: bool) -> None:
    if indented:
        statement = f"try:\n  {statement}except ImportError:\n  pass\n"
    text = before + statement + after
    if windows:
        text, before, after = (each.replace("\n", "\r\n") for each in (text, before, after))
    done = rewrite(text.encode(), faults(text))
    new = done.content.decode()
    asked = [each.repair for each in faults(text) if each.repair]
    alone = {each.old for each in _left(done, text)}
    wanted = Counter(
        (name, MOVES.get(home, home) if home not in alone else home) for name, home in bindings(text).elements()
    )
    assert bindings(new) == wanted
    assert comments(new) == comments(text)
    assert new.startswith(before)
    assert new.endswith(after.replace("old =", "new =").replace("old=", "new="))
    if windows:
        assert "\n" not in new.replace("\r\n", "")
    if not asked:
        assert new == text


@given(imports(), st.sampled_from(AFTER))
@settings(max_examples=50, deadline=None)
def test_what_was_mended_is_found_no_more_and_twice_is_once(statement: str, after: str) -> None:
    text = statement + after
    done = rewrite(text.encode(), faults(text))
    new = done.content.decode()
    again = faults(new)
    assert {each.repair.old for each in again if each.repair} == {each.old for each in _left(done, text)}
    assert rewrite(done.content, again).content == done.content


def _left(done: Rewritten, text: str) -> list[Repair]:
    """Repairs that were left alone: asked for again, they are left alone again."""
    own = faults(text)
    reasons = rewrite(text.encode(), own).reasons
    assert len(reasons) == len(done.reasons)
    return [each.repair for each in own if id(each) in reasons and each.repair]
