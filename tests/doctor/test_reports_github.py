"""Reports as annotations of GitHub Actions: one line for each finding, read back as the runner reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.records.finding import Finding
from mixprec_doctor.redaction import Secrets
from mixprec_doctor.reports import render_report
from tests.doctor.reporting import CLASH, FOLLOWER, MOVED, NOTE, report_of


def annotations(*findings: Finding) -> list[tuple[str, dict[str, str], str]]:
    """Command, properties and message of each line, unescaped in the runner's order."""
    read = []
    for line in render_report(report_of(*findings), "github", secrets=Secrets()).splitlines():
        parts = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert parts is not None, line
        properties = dict(each.split("=", 1) for each in parts[2].split(","))
        read.append((parts[1], {name: unescape(value) for name, value in properties.items()}, unescape(parts[3])))
    return read


def unescape(text: str) -> str:
    for escaped, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def test_severities_become_commands() -> None:
    assert [each[0] for each in annotations(CLASH, FOLLOWER, MOVED, NOTE)] == ["error", "error", "warning", "notice"]


def test_the_message_is_the_whole_finding() -> None:
    [(_, properties, message)] = annotations(CLASH)
    assert properties == {"title": f"MP401 {CLASH.summary}"}
    assert message.splitlines()[:2] == [CLASH.summary, CLASH.cause]
    assert message.endswith("-m pip uninstall -y torchvision")


def test_a_finding_about_the_code_asked_about_stands_at_its_line() -> None:
    [(_, properties, _)] = annotations(MOVED)
    assert (properties["file"], properties["line"]) == ("jobs/serve.py", "7")


def test_a_whole_path_below_the_working_directory_is_made_relative() -> None:
    inside = replace(MOVED, evidence=(f"{Path.cwd()}/jobs/a.py, line 2: import x",))
    outside = replace(MOVED, evidence=("/elsewhere/a.py, line 2: import x",))
    assert [each[1].get("file") for each in annotations(inside, outside)] == ["jobs/a.py", None]


def test_a_path_inside_the_environment_is_no_file_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "sglang").mkdir()
    (tmp_path / "sglang" / "a.py").touch()
    report = report_of(replace(MOVED, evidence=("sglang/a.py, line 2: import x",)))
    report = replace(report, target=replace(report.target, site_paths=(str(tmp_path),)))
    assert "file=" not in render_report(report, "github", secrets=Secrets())


def test_long_evidence_is_cut_and_said_to_be() -> None:
    [(_, _, message)] = annotations(replace(CLASH, evidence=tuple(f"fact {number}" for number in range(20))))
    assert "- fact 7\n- and 12 more (--format json has all)\n" in message
    assert "fact 8" not in message


def test_lines_given_on_the_command_line_are_no_file() -> None:
    [(_, properties, _)] = annotations(replace(MOVED, evidence=("the code, line 1: import x",)))
    assert "file" not in properties


LINES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))


@given(LINES.filter(lambda text: not re.search("%(0[AD]|3A|2C|25)", text)))
@settings(deadline=None)
def test_any_text_comes_back_as_it_was_and_never_starts_another_command(text: str) -> None:
    found = replace(NOTE, summary=text)
    [(command, properties, message)] = annotations(found)
    assert (command, properties["title"], message) == ("notice", f"MP107 {text}", text)
