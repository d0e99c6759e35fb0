"""`mixprec check` as a user types it, against a small engine that is installed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mixprec_doctor.cli import progress
from mixprec_doctor.cli.commands import DOCTOR_COMMANDS
from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from mixprec_doctor.cli.progress import late_progress
from tests.doctor.conftest import FakeEnvironment

ROOT = Path(__file__).parents[2]
ENGINE = {
    "vllm/__init__.py": "",
    "vllm/new.py": "class Moved:\n    def __init__(self, bits): ...\n",
    "vllm/old.py": "class Stays: ...\n",
}
MOVED = "from vllm.old import Moved, Stays\n"
MENDED = "from vllm.old import Stays\nfrom vllm.new import Moved\n"

Run = Callable[..., int]


@pytest.fixture
def run(fake: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder of its own, against the engine unless something else is named."""
    fake.install("vllm", "0.32.0", files=ENGINE)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object, installed: bool = True) -> int:
        where = ("--site-packages", str(fake.site)) if installed else ()
        monkeypatch.setattr(sys, "argv", ["mixprec", "check", *map(str, arguments), *where])
        return run_command_line(group, name="mixprec")

    return run


def write(name: str, content: str | bytes) -> Path:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_text_in_a_terminal_of_eighty_columns(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("plugin.py", MOVED)
    assert run("plugin.py") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "plugin.py:1:22",
        "  ✗ MP802 vllm.old has no Moved",
        "    1 | from vllm.old import Moved, Stays",
        "      |                      ^^^^^",
    ]
    assert lines[4].startswith("    → ") and lines[4].endswith("vllm.new [--fix]")
    assert lines[-2].startswith("✗ 1 error in 1 file, against vllm 0.32.0, installed (")
    assert lines[-1] == "  1 of these is mended by --fix; --diff shows how"


def test_healthy_code_is_clean(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("plugin.py", MENDED)
    assert run(".") == 0
    assert "✓ nothing found in 1 file" in capsys.readouterr().out


def test_fix_writes_checks_again_and_twice_is_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("libcst")
    file = write("plugin.py", MOVED)
    assert run(".", "--fix") == 0
    told = capsys.readouterr()
    assert file.read_text() == MENDED
    assert "1 repair in 1 file written" in told.err and "nothing found" in told.out
    assert run(".", "--fix") == 0
    assert file.read_text() == MENDED
    assert "nothing was written" in capsys.readouterr().err


def test_diff_shows_and_writes_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("libcst")
    file = write("plugin.py", MOVED)
    assert run(".", "--diff") == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[:2] == ["--- a/plugin.py", "+++ b/plugin.py"]
    assert "+from vllm.new import Moved" in told.out
    assert "1 repair in 1 file would be written" in told.err
    assert file.read_text() == MOVED


def test_fix_tells_what_it_leaves_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("libcst")
    write("plugin.py", f"import os; {MOVED}")
    assert run(".", "--fix") == 1
    assert "plugin.py:1:33: vllm.old.Moved is left alone: other statements" in capsys.readouterr().err


def test_what_is_not_selected_is_not_mended(run: Run) -> None:
    pytest.importorskip("libcst")
    file = write("plugin.py", MOVED)
    assert run(".", "--fix", "--ignore", "MP802") == 0
    assert file.read_text() == MOVED


def test_what_a_comment_ignores_is_not_mended(run: Run) -> None:
    pytest.importorskip("libcst")
    text = MOVED.replace("\n", "  # mixprec: ignore[MP802]\n")
    file = write("plugin.py", text)
    assert run(".", "--fix") == 0
    assert file.read_text() == text


def test_settings_are_heeded_and_the_command_line_goes_before_them(run: Run) -> None:
    write("pyproject.toml", "[tool.mixprec]\nignore = ['MP802']\nexclude = ['old/*']\n")
    write("src/plugin.py", MOVED)
    write("old/plugin.py", "import vllm.gone\n")
    assert run("src", "old") == 0
    assert run("src", "old", "--ignore", "MP801") == 1


def test_files_that_are_all_excluded_are_no_fault(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("pyproject.toml", "[tool.mixprec]\nexclude = ['old/*']\n")
    write("old/plugin.py", "import vllm.gone\n")
    assert run("old/plugin.py") == 0
    assert "all files are left out by `exclude`" in capsys.readouterr().err


def test_code_that_names_no_engine_needs_none(
    run: Run, another: Callable[[str], FakeEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.py", "import os\n")
    assert run(".", "--site-packages", another("empty").site, installed=False) == 0
    assert "nothing found in 1 file; none names a package that is looked at" in capsys.readouterr().out


def test_a_package_that_is_not_there_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("x.py", "import vllm.new\nimport sglang\n")
    assert run(".") == 0
    assert "not against sglang, which the code names too" in capsys.readouterr().out


def test_strict_counts_warnings(run: Run) -> None:
    write("plugin.py", "import vllm.new  # mixprec: ignore\n")
    assert run(".") == 0
    assert run(".", "--strict") == 1
    write("pyproject.toml", "[tool.mixprec]\nstrict = true\n")
    assert run(".") == 1


@pytest.mark.parametrize(("arguments", "words"), [
    (["gone.py"], "does not exist"),
    ([], "Missing argument"),
    ([".", "--fix", "--diff"], "give one"),
    ([".", "--select", "MP1"], "no finding with the code 'MP1'"),
    ([".", "--against", "vllm==1.0"], "give one"),
    ([".", "-o", "no/such/folder.txt"], "cannot be written"),
])  # fmt: skip
def test_misuse_is_refused_in_words(
    run: Run, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("plugin.py", MOVED)
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_settings_with_faults_are_misuse(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("pyproject.toml", "[tool.mixprec]\nagaints = []\n")
    assert run(".") == 2
    assert "near: against" in capsys.readouterr().err


def test_no_file_and_no_engine_are_nothing_examined(
    run: Run, another: Callable[[str], FakeEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(".") == 3
    assert "no Python file" in capsys.readouterr().out
    write("plugin.py", MOVED)
    assert run(".", "--site-packages", another("empty").site, installed=False) == 3
    assert "no vllm was found to hold 1 file against; name an environment" in capsys.readouterr().out


def test_documents_go_to_a_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("plugin.py", MOVED)
    for form in ("json", "sarif", "github"):
        assert run(".", "--format", form, "-o", f"out.{form}") == 1
    assert capsys.readouterr().out == ""
    document = json.loads(Path("out.json").read_text())
    assert document["findings"][0]["code"] == "MP802"
    assert (document["findings"][0]["line"], document["findings"][0]["column"]) == (1, 22)
    assert json.loads(Path("out.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "MP802"
    assert Path("out.github").read_text().startswith("::error file=plugin.py,line=1,")


ODD = {
    "empty": b"",
    "mark": b"\xef\xbb\xbf" + MOVED.encode(),
    "windows": MOVED.replace("\n", "\r\n").encode(),
    "old_mac": MOVED.replace("\n", "\r").encode(),
    "cookie": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n" + MOVED.encode(),
    "form_feed": b"\x0c\n" + MOVED.encode(),
    "no_newline": MOVED.strip().encode(),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_and_mended(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("x.py", ODD[name])
    assert run(".") == (0 if name == "empty" else 1)
    assert "not read" not in capsys.readouterr().out


BROKEN = {
    "syntax": b"from vllm.old import (\n",
    "null": b"import vllm\x00\n",
    "cookie": b"# -*- coding: no-such -*-\nimport vllm\n",
    "bytes": b"import vllm\nx = '\xff'\n",
    "deep": b"import vllm\nx = " + b"(" * 3000 + b")" * 3000 + b"\n",
    "deep_chain": b"import vllm\nx = a" + b".a" * 20_000 + b"\n",
    "notebook.ipynb": b'{"cells": [{"cell_type": "code", "source": "import vllm(" }]}',
    "no_notebook.ipynb": b"import vllm",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_told_and_no_fault(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(name if "." in name else f"{name}.py", BROKEN[name])
    assert run(".") == 0
    told = capsys.readouterr()
    assert f"{file}" in told.out and "not read:" in told.out
    assert "Traceback" not in told.err


def test_a_notebook_without_code_is_clean(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("n.ipynb", json.dumps({"cells": [{"cell_type": "markdown", "source": "import vllm.gone"}]}))
    assert run(".") == 0
    assert "not read" not in capsys.readouterr().out


def test_a_cell_of_a_notebook_is_named_and_may_ignore(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# text"]},
        {"cell_type": "code", "source": ["%pip install x\n", "import vllm.gone"]},
        {"cell_type": "code", "source": "import vllm.gone  # mixprec: ignore[MP801]"},
    ]
    write("n.ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert run(".") == 1
    told = capsys.readouterr().out
    assert "n.ipynb:cell 2:2:8\n" in told and "1 ignored by comments" in told and "cell 3" not in told


def test_links_in_a_circle_and_pipes_end(run: Run) -> None:
    write("src/plugin.py", MENDED)
    Path("src/loop").symlink_to("../src")
    Path("src/self.py").symlink_to("self.py")
    os.mkfifo("src/pipe.py")
    assert run("src") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_must_not_be_read_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("plugin.py", MOVED).chmod(0)
    assert run(".") == 0
    assert "not read" in capsys.readouterr().out


def test_a_file_of_a_megabyte_is_read(run: Run) -> None:
    write("large.py", "x = [1, 2, 3]  # no engine\n" * 40_000 + MOVED)
    assert run(".") == 1


def test_a_progress_of_less_than_a_second_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with late_progress() as told:
        told(1, 2)
    assert capsys.readouterr().err == ""
    with late_progress(after=0.01) as told:
        time.sleep(0.5)
        told(2, 2)
    assert "2 of 2 releases read" in capsys.readouterr().err


def test_a_terminal_gets_colours_and_its_own_width(run: Run, fake: FakeEnvironment) -> None:
    write("plugin.py", MOVED.replace("\n", "  # " + "long " * 60 + "\n"))
    words = (sys.executable, "-m", "mixprec_doctor", "check", "plugin.py", "--site-packages", str(fake.site))
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    for name in ("NO_COLOR", "COLUMNS"):
        environment.pop(name, None)
    with subprocess.Popen(words, stdout=there, stderr=subprocess.DEVNULL, env=environment) as child:
        os.close(there)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(here, 4096):
                shown += part
        os.close(here)
    assert child.returncode == 1
    text = shown.decode()
    assert "\x1b[31m^^^^^\x1b[0m" in text
    plain = re.sub("\x1b\\[[0-9;]*m", "", text).replace("\r", "")
    assert max(map(len, plain.splitlines()[:4])) <= 60


def test_the_hook_for_pre_commit_runs_a_command_that_is_there() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    script, command = hook["entry"].split()
    assert f"{script} = " in (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2]
    assert command in DOCTOR_COMMANDS
    assert hook["language"] == "python"


def test_a_name_bound_from_itself_again_and_again_is_read_in_time(run: Run) -> None:
    write("x.py", "import vllm as x\n" + "x = x.a\n" * 80 + "x.b(x)\n")
    assert run(".") == 1  # following every path through the bindings would not end
