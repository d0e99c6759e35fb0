"""Follow-up faults come beneath the finding that explains them."""

from __future__ import annotations

from mixprec_doctor.checks.grouping import group
from mixprec_doctor.records.finding import Finding, Severity


def finding(code: str, *subjects: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(code=code, severity=severity, summary=code, subjects=subjects)


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, str | None]]:
    return [(each.code, each.follows) for each in findings]


def test_a_follow_up_comes_right_after_its_root_though_it_was_found_before() -> None:
    found = group([finding("MP2", "vllm._C"), finding("MP3"), finding("MP1", "vllm")], {"MP1": ("MP2",)})
    assert codes(found) == [("MP3", None), ("MP1", None), ("MP2", "MP1")]


def test_findings_about_different_things_are_not_related() -> None:
    found = group([finding("MP1", "vllm"), finding("MP2", "vllm_flash"), finding("MP2")], {"MP1": ("MP2",)})
    assert codes(found) == [("MP1", None), ("MP2", None), ("MP2", None)]


def test_a_root_is_never_put_beneath_its_own_follow_up() -> None:
    found = group([finding("MP1", "a"), finding("MP2", "a")], {"MP1": ("MP2",), "MP2": ("MP1",)})
    assert sorted(code for code, _ in codes(found)) == ["MP1", "MP2"]
    assert sum(follows is None for _, follows in codes(found)) == 1


def test_every_finding_is_kept_once_in_a_chain_of_causes() -> None:
    explains = {"MP1": ("MP2",), "MP2": ("MP3",)}
    found = group([finding("MP3", "a"), finding("MP2", "a"), finding("MP1", "a")], explains)
    assert sorted(code for code, _ in codes(found)) == ["MP1", "MP2", "MP3"]
    assert codes(found)[0] == ("MP1", None)


def test_a_lesser_finding_never_hides_a_graver_one_beneath_it() -> None:
    found = group([finding("MP1", "a", severity=Severity.INFO), finding("MP2", "a")], {"MP1": ("MP2",)})
    assert codes(found) == [("MP1", None), ("MP2", None)]
