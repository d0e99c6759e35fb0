"""Reports of `mixprec check` in all forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mixprec_doctor.records.codefinding import CodeReport, Repair, WorkingRange
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.redaction import Secrets
from mixprec_doctor.reports.checks import render_check
from mixprec_doctor.reports.checks.releases import compact
from mixprec_doctor.reports.page import Page
from tests.doctor.codereporting import VERSIONS, found, report_of

SARIF = json.loads((Path(__file__).parent / "data" / "sarif-schema-2.1.0.json").read_bytes())
MOVED = Repair(kind="module", old="eng.layers.gptq.GPTQConfig", new="eng.layers.auto.GPTQConfig", certain=True)


def text(report: CodeReport, *, colour: bool = False, width: int = 80) -> str:
    return render_check(report, "text", Page(width=width, colour=colour), secrets=Secrets())


def sarif(report: CodeReport) -> dict[str, Any]:
    document = json.loads(render_check(report, "sarif", secrets=Secrets()))
    jsonschema.Draft4Validator(SARIF).validate(document)
    [run] = document["runs"]
    assert isinstance(run, dict)
    return run


def test_text_shows_the_place_the_line_and_the_way_out() -> None:
    assert (
        text(report_of(found(cause="modules move", repair=MOVED)))
        == """\
plugin/quant.py:2:6
  ✗ MP801 eng 0.19.0 has no module eng.layers.gptq
    2 | from eng.layers.gptq import GPTQConfig
      |      ^^^^^^^^^^^^^^^
    modules move
    → eng.layers.auto.GPTQConfig [--fix]
    → import it from where it is

✗ 1 error in 3 files, against eng 0.19.0 (0.25 s)
  1 of these is mended by --fix; --diff shows how
"""
    )


def test_text_of_many_releases_ends_with_a_table_and_the_line_for_pyproject() -> None:
    ranges = (
        WorkingRange(distribution="eng", requirement="eng>=0.10.0,<0.15.0", versions=VERSIONS[:5]),
        WorkingRange(distribution="other", requirement=None, versions=()),
    )
    note = found(code="MP805", severity=Severity.INFO, line=3, releases=VERSIONS)
    report = report_of(found(releases=VERSIONS[5:]), note, versions=VERSIONS, ranges=ranges)
    assert (
        text(report).partition("\nErrors by release\n")[2]
        == """\
  plugin/quant.py:2:6  MP801  eng  0.15.0 on

Works with
  ✓ "eng>=0.10.0,<0.15.0"  (5 releases)
  ✗ no release of other that was looked at

✗ 1 error, 1 note in 3 files, against 10 releases of eng (0.10.0 to 0.19.0) (0.25 s)
"""
    )
    assert "    in eng all 10, 0.10.0 to 0.19.0\n" in text(report)


def test_files_that_were_not_read_are_told() -> None:
    report = text(report_of(unread=(("bad.py", "invalid syntax, line 3"),), suppressed=2))
    assert (
        report
        == """\
bad.py
  ! not read: invalid syntax, line 3

✓ nothing found in 3 files, 2 ignored by comments, against eng 0.19.0 (0.25 s)
"""
    )


def test_a_report_about_nothing_says_so() -> None:
    assert "no Python file was found" in text(replace(report_of(), files=0))
    assert "no eng was found to hold 3 files against" in text(replace(report_of(), checked=(), unheld=("eng",)))


def test_colour_is_only_added() -> None:
    report = report_of(found(repair=MOVED), unread=(("bad.py", "x"),))
    coloured = text(report, colour=True)
    assert "\x1b[31m^" in coloured
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == text(report)


def test_a_ladder_is_shown_as_a_suggestion_of_several_lines() -> None:
    repair = Repair(kind="ladder", old="try: ...", new="import m\n\nX = m.load('fp8.config')", certain=False)
    assert "    → in place of the whole ladder:\n      import m\n\n      X = m.load('fp8.config')\n" in text(
        report_of(found(repair=repair))
    )


@pytest.mark.parametrize(("some", "words"), [
    (VERSIONS, "all 10, 0.10.0 to 0.19.0"),
    (VERSIONS[:3], "0.10.0 to 0.12.0"),
    (VERSIONS[3:4], "0.13.0"),
    (VERSIONS[8:], "0.18.0 on"),
    (VERSIONS[9:], "0.19.0 on"),
    ((*VERSIONS[:2], VERSIONS[4], *VERSIONS[6:]), "0.10.0 to 0.11.0, 0.14.0, 0.16.0 on"),
    ((), ""),
])  # fmt: skip
def test_releases_are_told_as_runs(some: tuple[str, ...], words: str) -> None:
    assert compact(some, VERSIONS) == words


def test_sarif_has_the_region_and_the_rule() -> None:
    run = sarif(report_of(found(end_line=4, repair=MOVED), found(code="MP890", severity=Severity.WARNING)))
    first, second = run["results"]
    region = first["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 6, "endLine": 4, "endColumn": 21}
    assert first["properties"]["repair"]["certain"] is True
    assert run["tool"]["driver"]["rules"][second["ruleIndex"]]["id"] == "MP890"
    assert run["columnKind"] == "unicodeCodePoints"


def test_sarif_fingerprints_stay_when_lines_are_added_above() -> None:
    def print_of(line: int, releases: tuple[str, ...]) -> list[str]:
        run = sarif(report_of(found(line=line, releases=releases), found(line=line + 1)))
        return [each["partialFingerprints"]["mixprecCheck/v1"] for each in run["results"]]

    assert print_of(2, VERSIONS) == print_of(40, VERSIONS[:1])
    assert len(set(print_of(2, VERSIONS))) == 2


def test_sarif_tells_of_files_that_were_not_read() -> None:
    [note] = sarif(report_of(unread=(("bad.py", "no Python"),)))["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "not read: no Python"


def test_cells_of_a_notebook_have_no_lines_of_the_file() -> None:
    report = report_of(found(file="n.ipynb", cell=3))
    [result] = sarif(report)["results"]
    assert "region" not in result["locations"][0]["physicalLocation"]
    assert result["locations"][0]["logicalLocations"][0]["name"] == "cell 3, line 2"
    line = render_check(report, "github", secrets=Secrets())
    assert line.startswith("::error file=n.ipynb,title=") and "::cell 3, line 2: " in line


def test_github_annotations_have_line_and_columns() -> None:
    lines = render_check(
        report_of(found(), found(severity=Severity.WARNING, end_line=3), unread=(("bad.py", "why"),)),
        "github",
        secrets=Secrets(),
    ).splitlines()
    assert lines[0].startswith("::error file=plugin/quant.py,line=2,endLine=2,col=6,endColumn=21,title=MP801 eng")
    assert lines[1].startswith("::warning file=plugin/quant.py,line=2,endLine=3,title=MP801")
    assert lines[2] == "::warning file=bad.py,title=not read::bad.py was not read: why"


def test_json_is_the_document_of_the_contract() -> None:
    document = json.loads(render_check(report_of(found(repair=MOVED)), "json", secrets=Secrets()))
    assert list(document)[:3] == ["schema", "mixprec", "files"]
    assert document["schema"] == "mixprec.check/1"
    assert document["findings"][0]["repair"]["new"] == MOVED.new


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_secret_in_the_code_is_shown_in_no_form(form: str) -> None:
    secret = "hf_" + "abcdefgh" * 4
    source = f"X(token='{secret}', gone=1)"
    report = report_of(found(source=source, column=source.index("gone") + 1, end_column=len(source)))
    shown = render_check(report, form, secrets=Secrets())
    assert secret not in shown
    if form == "text":
        assert "^\n" in shown and "|" in shown
