"""Small releases of an engine, as installed or as wheels, and code that is held against them."""

from __future__ import annotations

import textwrap
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from mixprec_doctor.codecheck.checking import check
from mixprec_doctor.records.codefinding import CodeFinding, CodeReport
from tests.doctor.conftest import FakeEnvironment

Files = Mapping[str, str]


class Bench:
    """Some code, and what it is held against."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = FakeEnvironment(root / "env")
        self.code = root / "code"
        self.code.mkdir()

    def write(self, text: str, name: str = "plugin.py") -> Path:
        """A file of the code."""
        path = self.code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def install(self, files: Files, *, package: str = "vllm", version: str = "1.0") -> None:
        """An engine in the environment."""
        self.environment.install(package, version, files=_files(files, package))

    def wheel(self, version: str, files: Files, *, package: str = "vllm") -> str:
        """A release as a wheel; its path is a requirement."""
        path = self.root / f"{package}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as zipped:
            for name, text in _files(files, package).items():
                zipped.writestr(name, text)
            head = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            zipped.writestr(f"{package}-{version}.dist-info/METADATA", head)
        return str(path)

    def report(self, against: Iterable[str] = (), **options: str) -> CodeReport:
        """What a check of all the code says."""
        given = tuple(against)
        place = {} if given else {"site_packages": str(self.environment.site)}
        return check([self.code], against=given, **place, **options)  # type: ignore[arg-type]

    def findings(self, code: str, files: Files, **options: str) -> tuple[CodeFinding, ...]:
        """The findings of some code against one installed engine."""
        self.write(code)
        self.install(files)
        return self.report(**options).findings


def _files(files: Files, package: str) -> dict[str, str]:
    """Paths below the package, with an ``__init__`` in every folder."""
    found = {f"{package}/{path}": textwrap.dedent(text) for path, text in files.items()}
    for path in list(found):
        parts = path.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            found.setdefault("/".join([*parts[:length], "__init__.py"]), "")
    return found


def told(findings: Iterable[CodeFinding]) -> list[tuple[str, str, int]]:
    """Code, severity and line of each finding."""
    return [(each.finding.code, each.finding.severity.value, each.place.line) for each in findings]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An empty bench with a cache of its own."""
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))
    return Bench(tmp_path)
