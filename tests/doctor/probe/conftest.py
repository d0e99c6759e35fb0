"""A real virtual environment, packages that are made to fail in it, and a look at what they leave behind."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mixprec_doctor.probe import Limits, probe
from mixprec_doctor.records.probe import Kind, Probe, ProbeRequest

PATIENT = Limits(each=60.0, total=120.0, ending=3.0, memory=None)
HASTY = Limits(each=3.0, total=20.0, ending=2.0, memory=None)


class Victim:
    """A virtual environment whose packages can be anything."""

    def __init__(self, root: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True, timeout=120)
        self.python = str(root / "bin" / "python")
        (self.site,) = root.glob("lib/python3*/site-packages")

    def write(self, path: str, text: str) -> None:
        """A file of site-packages."""
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def ask(self, *requests: ProbeRequest, limits: Limits = PATIENT) -> tuple[Probe, ...]:
        """What comes of some requests."""
        return probe(requests, python=self.python, limits=limits)

    def imports(self, text: str, *, limits: Limits = PATIENT) -> Probe:
        """What comes of importing a module of that text."""
        self.write("victim.py", text)
        (answer,) = self.ask(ProbeRequest(kind=Kind.IMPORT, engine="victim", module="victim"), limits=limits)
        return answer

    def runs(self, text: str, *, limits: Limits = PATIENT, file: str | None = None) -> Probe:
        """What comes of running some lines."""
        (answer,) = self.ask(ProbeRequest(kind=Kind.CODE, text=text, file=file), limits=limits)
        return answer


def marked(mark: str) -> list[str]:
    """Command lines of living processes that were started with the mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture
def victim(tmp_path: Path, mark: str) -> Victim:
    """An empty virtual environment."""
    return Victim(tmp_path / "victim")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A word in the environment of every process that the test starts; none of them may outlive the test."""
    word = f"mixprec-test-{uuid.uuid4()}"
    monkeypatch.setenv("MIXPREC_TEST_MARK", word)
    yield word
    assert marked(word) == []


@pytest.fixture
def living(mark: str) -> Callable[[], list[str]]:
    """The processes of the test that live now."""
    return lambda: marked(mark)
