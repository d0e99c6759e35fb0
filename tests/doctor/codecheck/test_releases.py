"""Many releases: since when, where it works, which repairs serve all, and what is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from mixprec_doctor.codecheck import release as releases
from mixprec_doctor.codecheck.ranges import working_range
from tests.doctor.codecheck.conftest import Bench, told

OLD = {"a.py": "class X:\n    def __init__(self, cfg: int, b=1): ...\n"}
NEW = {"b.py": "class X:\n    def __init__(self, config: int, b=1): ...\n"}


def test_a_finding_names_its_releases_and_since_when(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    wheels = [
        bench.wheel(version, files) for version, files in (("1.0", OLD), ("1.1", OLD), ("2.0", NEW), ("2.1", NEW))
    ]
    report = bench.report(wheels)
    (found,) = report.findings
    assert found.releases == ("2.0", "2.1")
    assert any("since 2.0" in line and "1.1" in line for line in found.finding.evidence)
    assert [(each.requirement, each.versions) for each in report.ranges] == [("vllm>=1.0,<2.0", ("1.0", "1.1"))]


def test_a_repair_that_breaks_another_of_the_releases_is_not_certain(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    old, new = bench.wheel("1.0", OLD), bench.wheel("2.0", NEW)
    (found,) = bench.report([old, new]).findings
    assert found.repair is not None and not found.repair.certain
    (found,) = bench.report([new], from_=old).findings
    assert found.repair is not None and found.repair.certain


def test_a_namesake_far_away_is_certain_only_where_the_former_one_is_known(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    new = bench.wheel("2.0", {"v1/core/a.py": NEW["b.py"]})
    (found,) = bench.report([new]).findings
    assert found.repair is not None and not found.repair.certain
    (found,) = bench.report([new], from_=bench.wheel("1.0", OLD)).findings
    assert found.repair is not None and found.repair.certain


def test_two_things_that_were_there_side_by_side_are_not_the_same(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    old = bench.wheel("1.0", OLD | {"b.py": "class X:\n    def __init__(self, cfg: int, b=1): ...\n"})
    (found,) = bench.report([bench.wheel("2.0", NEW)], from_=old).findings
    assert found.repair is not None and not found.repair.certain


def test_the_same_name_for_another_kind_of_thing_is_not_the_same(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    old, new = bench.wheel("1.0", OLD), bench.wheel("2.0", {"b.py": "def X(): ...\n"})
    (found,) = bench.report([new], from_=old).findings
    assert found.repair is not None and not found.repair.certain


@pytest.mark.parametrize(
    ("parameters", "certain"),
    [
        ("self, config: int, b=1", True),
        ("self, config: str, b=1", None),
        ("self, b=1, config: int = 0", None),
        ("self, config: int, b=1, more=2", None),
    ],
)
def test_a_renamed_keyword_is_certain_only_in_its_place_and_alone(
    bench: Bench, parameters: str, certain: bool | None
) -> None:
    bench.write("from vllm.a import X\nX(cfg=1)\n")
    new = bench.wheel("2.0", {"a.py": f"class X:\n    def __init__({parameters}): ...\n"})
    found = bench.report([new], from_=bench.wheel("1.0", OLD)).findings
    repair = next(each.repair for each in found if "no parameter cfg" in each.finding.summary)
    assert (repair.certain if repair else None) is certain
    if repair:
        assert (repair.kind, repair.old, repair.new) == ("keyword", "cfg", "config")


@pytest.mark.parametrize(
    ("after", "severity"),
    [
        ("def f(a, x, b=1): ...", "error"),
        ("def f(b, a=1): ...", "error"),
        ("def f(a, c=1): ...", None),
        ("def f(a, b=1, more=2): ...", None),
        ("def f(a, c: str = ''): ...", "warning"),
    ],
)
def test_arguments_by_position_that_mean_something_else(bench: Bench, after: str, severity: str | None) -> None:
    bench.write("from vllm.a import f\nf(1, 2)\n")
    old, new = bench.wheel("1.0", {"a.py": "def f(a, b=1): ...\n"}), bench.wheel("2.0", {"a.py": after})
    expected = [("MP806", severity, 2)] if severity else []
    assert told(bench.report([new], from_=old).findings) == expected
    assert told(bench.report([new]).findings) == []


def test_a_release_that_cannot_be_read_is_told_and_the_others_are_checked(bench: Bench) -> None:
    bench.write("from vllm.a import X\n")
    good, bad = bench.wheel("1.0", OLD), bench.wheel("2.0", NEW)
    bench.report([good])
    with open(bad, "r+b") as file:  # noqa: PTH123
        file.truncate(120)
    with pytest.raises(Exception, match="cannot be read"):
        bench.report([good, bad])


def test_a_second_run_reads_nothing_of_a_release(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("from vllm.a import X\nX(1, nope=2)\nclass Mine(X): ...\n")
    wheel = bench.wheel("2.0", NEW | OLD)
    first = bench.report([wheel])
    assert [each.finding.code for each in first.findings] == ["MP805"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("opened again")

    monkeypatch.setattr(releases, "open_release", refuse)
    assert bench.report([wheel]).findings == first.findings


def test_an_installed_file_that_changed_is_read_again(bench: Bench) -> None:
    assert told(bench.findings("from vllm.a import X\n", OLD)) == []
    bench.environment.write("vllm/a.py", "class Y: ...\n")
    assert told(bench.report().findings) == [("MP802", "error", 1)]


def test_packages_are_those_that_are_asked_for(bench: Bench) -> None:
    bench.install({"a.py": ""}, package="lmkit")
    assert told(bench.findings("import lmkit.gone\nimport vllm.gone\n", OLD)) == [("MP801", "error", 2)]
    assert told(bench.report(packages=("lmkit",)).findings) == [("MP801", "error", 1), ("MP801", "error", 2)]  # type: ignore[arg-type]


def test_a_requirement_that_is_named_makes_its_package_asked_for(bench: Bench) -> None:
    bench.write("import lmkit.gone\n")
    assert told(bench.report([bench.wheel("1.0", {"a.py": ""}, package="lmkit")]).findings) == [("MP801", "error", 1)]


VERSIONS = ("0.9.0", "0.9.1", "0.10.0", "0.11.0", "0.11.1", "1.0rc1", "1.0", "1.1")


@given(st.sets(st.sampled_from(VERSIONS)))
def test_a_range_holds_exactly_its_releases(broken: set[str]) -> None:
    found = working_range("vllm", VERSIONS, broken)
    if found.requirement is None:
        assert broken == set(VERSIONS)
        return
    inside = set(Requirement(found.requirement).specifier.filter(VERSIONS, prereleases=True))
    assert inside == set(found.versions)
    assert not inside & broken


def test_single_broken_releases_inside_are_named() -> None:
    found = working_range("vllm", ("1.0", "1.1", "1.2", "1.3", "1.4"), {"1.2"})
    assert found.requirement == "vllm>=1.0,!=1.2"


def test_the_longest_stretch_is_taken() -> None:
    assert working_range("vllm", ("1.0", "1.1", "1.2", "1.3", "1.4"), {"1.1", "1.2"}).requirement == "vllm>=1.3"
    assert working_range("vllm", ("1.0", "1.1"), {"1.0", "1.1"}).requirement is None
