"""Reports as SARIF: valid against the schema of OASIS, stable, and telling no more than they must."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mixprec_doctor.checks import CHECKS
from mixprec_doctor.records.report import Report
from mixprec_doctor.redaction import Secrets
from mixprec_doctor.reports import render_report
from mixprec_doctor.version import __version__
from tests.doctor.reporting import CLASH, FOLLOWER, MOVED, NOTE, report_of

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-schema-2.1.0.json").read_bytes())


def sarif(report: Report, *, strict: bool = False, secrets: Secrets | None = None) -> dict[str, Any]:
    """The one run of a document that the schema accepts."""
    document = json.loads(render_report(report, "sarif", strict=strict, secrets=secrets or Secrets()))
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    [run] = document["runs"]
    assert isinstance(run, dict)
    return run


def test_the_schema_refuses_what_is_no_sarif() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate({"version": "2.1.0", "runs": [{"results": []}]})


def test_a_report_with_nothing_found_is_valid() -> None:
    run = sarif(report_of())
    assert run["results"] == []
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 0}]


def test_levels_follow_severities_and_results_point_to_their_rules() -> None:
    run = sarif(report_of(CLASH, FOLLOWER, MOVED, NOTE))
    rules = run["tool"]["driver"]["rules"]
    assert [each["level"] for each in run["results"]] == ["error", "error", "warning", "note"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == ["MP401", "MP204", "MP203", "MP107"]
    assert run["tool"]["driver"]["version"] == __version__


def test_every_check_that_was_asked_is_a_rule_with_its_example_and_cure() -> None:
    rules = sarif(report_of(checks=("MP401", "MP402")))["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == ["MP401", "MP402"]
    check = next(each for each in CHECKS if each.code == "MP401")
    assert rules[0]["shortDescription"]["text"] == check.title
    assert f"**Cure.** {check.cure}" in rules[0]["help"]["markdown"]
    assert check.example in rules[0]["help"]["text"]
    assert len(sarif(report_of())["tool"]["driver"]["rules"]) == len(CHECKS)


def test_the_file_of_a_piece_of_evidence_is_a_location() -> None:
    clash, moved = sarif(report_of(CLASH, MOVED))["results"]
    [at] = clash["locations"]
    assert at["physicalLocation"]["artifactLocation"] == {
        "uri": "file:///srv/env/lib/python3.11/site-packages/torchvision/_C.so"
    }
    [at] = moved["locations"]
    assert at["physicalLocation"] == {"artifactLocation": {"uri": "jobs/serve.py"}, "region": {"startLine": 7}}


def test_a_path_inside_the_environment_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    report = report_of(replace(MOVED, evidence=("a.py, line 2: import x",)))
    [result] = sarif(replace(report, target=replace(report.target, site_paths=(str(tmp_path),))))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"file://{tmp_path}/a.py"


def test_a_result_without_files_lies_in_the_environment() -> None:
    [result] = sarif(report_of(NOTE))["results"]
    [at] = result["locations"]
    assert at["physicalLocation"]["artifactLocation"]["uri"] == "file:///srv/env/lib/python3.11/site-packages"


def test_the_home_folder_is_a_base_that_is_not_told() -> None:
    found = replace(CLASH, evidence=("/home/lovelace/env/my%20x/_C.so needs libc10_cuda.so",))
    run = sarif(report_of(found), secrets=Secrets(home="/home/lovelace"))
    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "env/my%2520x/_C.so", "uriBaseId": "HOME"}
    assert "HOME" in run["originalUriBaseIds"]
    assert "lovelace" not in json.dumps(run)


def test_a_fingerprint_outlives_new_versions_and_tells_findings_apart() -> None:
    def mark(*findings: Any) -> list[str]:
        results = sarif(report_of(*findings))["results"]
        return [each["partialFingerprints"]["mixprecFinding/v1"] for each in results]

    newer = replace(CLASH, summary=CLASH.summary.replace("0.28.0", "0.29.1"), evidence=())
    assert mark(CLASH) == mark(newer)
    assert len({*mark(CLASH, FOLLOWER, MOVED, NOTE)}) == 4


def test_what_a_program_needs_stands_in_the_properties() -> None:
    follower = sarif(report_of(CLASH, FOLLOWER))["results"][1]["properties"]
    assert follower == {"engine": None, "subjects": ["torchvision"], "follows": "MP401", "remedy": []}


@pytest.mark.parametrize("strict, code", [(False, 0), (True, 1)])
def test_the_exit_code_is_that_of_the_command(strict: bool, code: int) -> None:
    assert sarif(report_of(MOVED), strict=strict)["invocations"][0]["exitCode"] == code
