"""A package that would be noticed: examining its environment imports, executes, changes and waits for nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import VLLM

# Runs in a child: an audit hook cannot be taken out again. It notes whatever of the patient is imported, executed, loaded
# as a library or opened for writing, and every process that is started; then runs the command that follows.
# ast.parse compiles too, but executes nothing.
_WATCH = """
import os, runpy, sys
patient, notes, *command = sys.argv[1:]
log = os.open(notes, os.O_WRONLY | os.O_CREAT)
changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
altering = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "os.utime")
def inside(path):
    return isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(patient)
def note(*words):
    os.write(log, (" ".join(map(str, words)) + "\\n").encode(errors="replace"))
def hook(event, arguments):
    if event == "exec" and inside(getattr(arguments[0], "co_filename", "")):
        note("executed", arguments[0].co_filename)
    elif event == "import" and inside(arguments[1]):
        note("imported", arguments[0])
    elif event == "ctypes.dlopen" and inside(arguments[0]):
        note("loaded", arguments[0])
    elif event == "open" and inside(arguments[0]) and (arguments[2] or 0) & changing:
        note("opened for writing", arguments[0])
    elif event in altering and any(inside(each) for each in arguments):
        note(event, *arguments)
    elif event == "subprocess.Popen":
        note("started", *arguments[1])
    elif event in ("os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.spawn"):
        note(event, *arguments)
sys.addaudithook(hook)
sys.argv = ["mixprec", *command]
try:
    runpy.run_module("mixprec_doctor", run_name="__main__")
finally:
    heavy = {name.partition(".")[0] for name in sys.modules} & {"vllm", "sglang", "torch"}
    if heavy:
        note("imported", *heavy)
"""
_CODE = "import vllm\nfrom vllm.model_executor.layers.quantization.fp8 import Fp8Config\nFp8Config(8, 9, 10)"


class Patient(FakeEnvironment):
    """A real virtual environment, so that it has an interpreter to ask, full of files that would tell if they ran."""

    def __init__(self, root: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True, timeout=120)
        self.root = root
        (self.site,) = root.glob("lib/python3*/site-packages")
        self.marker = root.parent / "it-ran"
        self.work = root / "work"
        self.work.mkdir()
        self.bomb = f"import pathlib\npathlib.Path({str(self.marker)!r}).touch()\nraise SystemExit(9)\n"
        self.install("vllm", files={path: f"{self.bomb}{text}" for path, text in VLLM.items()})
        self.write("bomb.pth", f"import pathlib; pathlib.Path({str(self.marker)!r}).touch()\n")
        for name in ("sitecustomize", "usercustomize", "__editable___x_finder"):
            self.write(f"{name}.py", self.bomb)
        self.write("__editable__.x.pth", "import __editable___x_finder; __editable___x_finder.install()\n")
        for name in ("conftest", "sitecustomize", "json", "packaging", "torch"):
            (self.work / f"{name}.py").write_text(self.bomb)

    def examine(self, *command: str) -> tuple[dict[str, object], list[str]]:
        """The doctor's report on it and what the hook noted, run in its working directory with a small memory."""
        import resource

        notes = self.root.parent / "notes"
        watched = subprocess.run(
            [sys.executable, "-I", "-c", _WATCH, str(self.root), str(notes), "doctor", "--format", "json", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.work,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30)),
        )
        assert watched.returncode in (0, 1) and watched.stdout, watched.stderr
        assert not self.marker.exists()
        return json.loads(watched.stdout), notes.read_text().splitlines()


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """An environment that notices."""
    return Patient(tmp_path / "env")


def codes(report: dict[str, object]) -> list[str]:
    """The codes of a report's findings."""
    findings = report["findings"]
    assert isinstance(findings, list)
    return [finding["code"] for finding in findings]


def test_of_an_environment_only_the_interpreter_is_started_and_that_isolated(patient: Patient) -> None:
    python = str(patient.root / "bin" / "python")
    report, notes = patient.examine("--python", python, "--code", _CODE)
    portrait, *others = [line for line in notes if "nvidia-smi" not in line]
    assert portrait.startswith(f"started {python} -I -S ")
    assert others == []
    assert "MP302" in codes(report)  # it was looked at all the same


def test_a_folder_of_packages_is_read_and_nothing_started(patient: Patient) -> None:
    report, notes = patient.examine("--site-packages", str(patient.site), "--code", _CODE)
    assert [line for line in notes if "nvidia-smi" not in line] == []
    roles = report["roles"]
    assert isinstance(roles, list)
    assert sum(role["status"] == "found" for role in roles) > 25


def test_pipes_devices_and_loops_are_passed_by(patient: Patient) -> None:
    for name in ("pipe.pth", "vllm/extra.py", "vllm/_C.abi3.so", "vllm/__pycache__"):
        os.mkfifo(patient.site / name)
    folder = patient.install("other", files={"other/__init__.py": "import vllm.extra\n"})
    for name in ("direct_url.json", "entry_points.txt", "top_level.txt"):
        os.mkfifo(folder / name)
    (folder / "WHEEL").unlink()
    (folder / "WHEEL").symlink_to("/dev/zero")
    (patient.site / "loop").symlink_to(patient.site / "loop")
    (patient.site / "vllm" / "inner").symlink_to(patient.site / "vllm")
    (patient.site / "loop.pth").write_text("loop\n../site-packages\n/dev/zero\n")
    (patient.site / "loop-1.0.dist-info").symlink_to(patient.site / "loop-1.0.dist-info")
    closed = patient.site / "closed"
    closed.mkdir(mode=0)
    for code in (
        "import vllm.extra",
        "import vllm._C",
        "import other",
        "import vllm.inner.inner",
        "import loop, closed",
    ):
        report, _ = patient.examine("--python", str(patient.root), "--code", code)
        assert report["schema"] == "mixprec.report/1"
    closed.chmod(0o700)


def test_files_of_a_gigabyte_are_not_read_into_memory(patient: Patient) -> None:
    folder = patient.install("heavy", files={"heavy/__init__.py": "from heavy import big\n"})
    for path in (folder / "RECORD", folder / "METADATA", patient.site / "heavy" / "big.py", patient.site / "big.pth",
                 patient.site / "heavy" / "_C.abi3.so"):  # fmt: skip
        with path.open("ab") as stream:
            stream.truncate(2**30)
    report, _ = patient.examine("--python", str(patient.root), "--code", "import heavy, heavy._C")
    assert report["schema"] == "mixprec.report/1"


def test_garbage_in_metadata_and_names_is_reported_and_not_stumbled_over(patient: Patient) -> None:
    garbage = bytes(range(256)) * 64
    patient.write("torn-1.0.dist-info/METADATA", garbage)
    patient.write("torn-1.0.dist-info/RECORD", garbage)
    patient.write("torn-1.0.dist-info/entry_points.txt", garbage)
    patient.write("torn-1.0.dist-info/direct_url.json", "[" * 100_000)
    patient.write("__editable___y_finder.py", "MAPPING = " + "(" * 5000)
    patient.write("__editable__.y.pth", "import __editable___y_finder; __editable___y_finder.install()\n")
    patient.write("nested.py", "x = " + "-" * 100_000 + "1\n")
    for name in (b"~\xff\xfe", b"\xff-1.0.dist-info", b"\xff.py", b"\xff.pth"):
        (patient.site / os.fsdecode(name)).touch()
    for asked in (["--code", "import nested"], ["--code", "import torn"], []):
        report, _ = patient.examine("--python", str(patient.root), *asked)
        assert report["schema"] == "mixprec.report/1"
    assert "MP105" in codes(report)  # the last one
