"""A package that would be noticed: examining its environment imports and executes nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import VLLM

# Runs in a child: an audit hook cannot be taken out again. It notes every file under the patient that is
# compiled to be executed (ast.parse compiles too, but is told apart by the missing file name), every import
# from there, and every process that is started.
_WATCH = """
import sys
site = sys.argv[1]
def hook(event, arguments):
    if event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(site):
        print("executed", arguments[0].co_filename)
    if event == "import" and str(arguments[1] or "").startswith(site):
        print("imported", arguments[0])
    if event in ("os.exec", "os.posix_spawn", "subprocess.Popen", "os.system") and "nvidia-smi" not in str(arguments):
        print("started", arguments)
sys.addaudithook(hook)
import mixprec_doctor
report = mixprec_doctor.examine(site_packages=site)
found = [role for role in report.roles if role.status.value == "found"]
assert len(found) > 25, found
assert not any(name.split(".")[0] in ("vllm", "sglang", "torch") for name in sys.modules)
"""


def test_a_hostile_environment_is_examined_without_running_any_of_it(fake: FakeEnvironment) -> None:
    marker = fake.root / "it-ran"
    bomb = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nraise SystemExit(9)\n"
    fake.install("vllm", files={path: f"{bomb}{text}" for path, text in VLLM.items()})
    fake.write("bomb.pth", f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
    fake.write("sitecustomize.py", bomb)
    fake.write("__editable___x_finder.py", bomb)
    fake.write("__editable__.x.pth", "import __editable___x_finder; __editable___x_finder.install()\n")
    watched = subprocess.run(
        [sys.executable, "-c", _WATCH, str(fake.site)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (watched.returncode, watched.stdout, watched.stderr) == (0, "", "")
    assert not marker.exists()


def test_asking_an_interpreter_runs_no_path_file_of_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=120)
    (site,) = (tmp_path / "env").glob("lib/python3*/site-packages")
    marker = tmp_path / "it-ran"
    (site / "bomb.pth").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
    (site / "sitecustomize.py").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")

    import mixprec_doctor

    report = mixprec_doctor.examine(python=tmp_path / "env")
    assert report.target.site_paths == (str(site),)
    assert report.target.prefix == str(tmp_path / "env")
    assert not marker.exists()
