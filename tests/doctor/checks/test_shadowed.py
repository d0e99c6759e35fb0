"""What lies in the working directory, beside a script or on PYTHONPATH and hides what should be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor import examine
from mixprec_doctor.records.finding import Finding, Severity
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG

SERVER = "sglang/srt/entrypoints/http_server.py"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def sglang(fake: FakeEnvironment, server: str = "") -> None:
    fake.install("sglang", files={**SGLANG, SERVER: server + SGLANG[SERVER]})


def findings(fake: FakeEnvironment, code: str | None = None) -> tuple[Finding, ...]:
    return examine(site_packages=fake.site, select=["MP110"], machine=LAPTOP, code=code, offline=True).findings


def test_a_file_named_like_the_engine_shadows_it(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake)
    (work / "sglang.py").touch()
    (found,) = findings(fake, "import sglang")
    assert (found.severity, found.subjects) == (Severity.ERROR, ("sglang",))
    assert str(work / "sglang.py") in found.cause


def test_a_folder_without_init_shadows_nothing(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake)
    (work / "sglang").mkdir()
    (work / "sglang" / "notes.py").touch()
    assert findings(fake, "import sglang") == ()


def test_a_file_named_like_what_the_engine_imports_shadows_it(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake, "import openai\n")
    fake.install("openai")
    (work / "openai.py").touch()
    (found,) = findings(fake)
    assert (found.severity, found.subjects) == (Severity.WARNING, ("openai", "sglang"))
    asked = "import sglang.srt.entrypoints.http_server"
    assert [each.severity for each in findings(fake, asked)] == [Severity.ERROR]


def test_a_file_named_like_something_that_nobody_imports_is_left_alone(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake)
    fake.install("openai")
    (work / "openai.py").touch()
    (work / "my_notes.py").touch()
    assert findings(fake) == ()


def test_a_file_named_like_a_module_of_the_library_shadows_it(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake, "import types\n")
    (work / "types.py").touch()
    (work / "os.py").touch()  # imported before Python looks here
    (found,) = findings(fake)
    assert found.severity is Severity.WARNING
    assert "that of Python's library" in found.summary
    assert found.remedy is not None
    assert "rename types.py" in found.remedy.text


def test_what_the_library_itself_imports_counts_too(fake: FakeEnvironment, work: Path) -> None:
    sglang(fake, "import enum\n")
    (work / "types.py").touch()  # enum imports it
    (work / "telnetlib.py").touch()
    severities = {found.subjects[0]: found.severity for found in findings(fake)}
    assert severities == {"telnetlib": Severity.INFO, "types": Severity.WARNING}


def test_for_a_script_its_own_folder_counts(fake: FakeEnvironment, work: Path, tmp_path: Path) -> None:
    sglang(fake)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "run.py").write_text("import sglang\n")
    (scripts / "sglang.py").touch()
    (found,) = findings(fake, f"@{scripts / 'run.py'}")
    assert "the script's own folder" in found.summary
    (scripts / "sglang.py").unlink()
    (work / "sglang.py").touch()
    assert findings(fake, f"@{scripts / 'run.py'}") == ()


def test_a_safe_path_leaves_the_working_directory_out(
    fake: FakeEnvironment, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sglang(fake)
    (work / "sglang.py").touch()
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert findings(fake, "import sglang") == ()
