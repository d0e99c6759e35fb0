"""Tiny environments, each built for one defect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mixprec_doctor.checks import Patient
from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.index.settings import IndexSettings
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.machine import Accelerator, Machine
from mixprec_doctor.remedies import places
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.source import Exports, Sources

LAPTOP = Machine(
    system="Linux",
    architecture="x86_64",
    cpu="a laptop",
    cpu_flags=("avx2",),
    cores=4,
    memory_bytes=16 * 2**30,
    accelerators=(),
)
GPU = Accelerator(name="NVIDIA H100", compute_capability="9.0", memory_bytes=80 * 2**30, driver="570.1")


class FakeEnvironment:
    """A virtual environment of Python 3.11 that consists of text files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.site = root / "lib" / "python3.11" / "site-packages"
        self.site.mkdir(parents=True)
        (root / "pyvenv.cfg").write_text("version = 3.11.7\n")

    def write(self, path: str, text: str | bytes = "") -> Path:
        """A file of site-packages."""
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: Mapping[str, str | bytes] | None = None,
        requires: Sequence[str] = (),
        tag: str = "py3-none-any",
        entry_points: str = "",
        record: bool = True,
    ) -> Path:
        """A distribution with a metadata folder as pip leaves it."""
        files = {f"{name.replace('-', '_')}/__init__.py": ""} if files is None else files
        for path, text in files.items():
            self.write(path, text)
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self.write(f"{folder}/METADATA", head + "".join(f"Requires-Dist: {each}\n" for each in requires) + "\n")
        self.write(f"{folder}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        if entry_points:
            self.write(f"{folder}/entry_points.txt", entry_points)
        if record:
            own = [f"{path},sha256=x,1" for path in files]
            self.write(f"{folder}/RECORD", "\n".join([*own, f"{folder}/METADATA,,", f"{folder}/RECORD,,"]) + "\n")
        return self.site / folder

    def install_torch(self, version: str = "2.13.0+cpu", *, cuda: str | None = None) -> None:
        """A torch that says for what it was built."""
        text = f"__version__ = '{version}'\ncuda: Optional[str] = {cuda!r}\nhip: Optional[str] = None\n"
        self.install("torch", version, files={"torch/__init__.py": "", "torch/version.py": text})

    def read(self) -> Environment:
        """The environment as the doctor reads it."""
        return read_environment(Target(site_packages=self.site))

    def exports(self) -> Exports:
        """Its packages as source."""
        return Exports(Sources.of_environment(self.read()))

    def engine(self, name: str) -> EngineSource:
        """One of its engines as source."""
        return EngineSource(Sources.of_environment(self.read()), find_layout(name))

    def patient(self, *, machine: Machine = LAPTOP, wanted: str | None = None) -> Patient:
        """What checks are given."""
        environment = self.read()
        engines = find_engines(environment)
        sources = Sources.of_environment(environment)
        return Patient(
            environment=environment,
            machine=machine,
            engines=engines,
            roles={
                each.engine: EngineSource(sources, find_layout(each.engine)).roles()
                for each in engines
                if each.engine != "torch" and each.root
            },
            wanted=wanted,
        )


@pytest.fixture(autouse=True)
def no_index_for_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remedies are not looked up on the real index."""
    monkeypatch.setattr(places, "read_settings", lambda **_: IndexSettings(no_index=True))


@pytest.fixture
def fake(tmp_path: Path) -> FakeEnvironment:
    """An empty environment."""
    return FakeEnvironment(tmp_path / "env")


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], FakeEnvironment]]:
    """Further empty environments, by name."""
    yield lambda name: FakeEnvironment(tmp_path / name)


def codes_of(findings: Sequence[Finding]) -> list[str]:
    """The codes of findings."""
    return [finding.code for finding in findings]
