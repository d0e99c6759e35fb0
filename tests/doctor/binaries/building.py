"""Small real libraries, each compiled for one defect."""

from __future__ import annotations

__all__ = ["GCC", "compile_library", "dlopen", "needs_gcc"]

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None or sys.platform != "linux", reason="needs gcc on Linux")


def compile_library(
    path: Path,
    source: str = "",
    *,
    needs: Sequence[Path] = (),
    soname: str | None = None,
    versions: str | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """A shared library; ``needs`` are linked by their sonames, ``versions`` is a linker's version script."""
    assert GCC is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        GCC,
        "-shared",
        "-fPIC",
        "-O0",
        "-x",
        "c",
        "-",
        "-x",
        "none",
        "-o",
        str(path),
        f"-Wl,-soname,{soname or path.name}",
    ]
    if versions is not None:
        script = path.with_suffix(".map")
        script.write_text(versions)
        command.append(f"-Wl,--version-script={script}")
    command += ["-Wl,--no-as-needed", *map(str, needs), *flags]
    subprocess.run(command, input=source.encode(), check=True, timeout=60)
    return path


def dlopen(path: Path, *before: Path) -> str | None:
    """What the real loader says to a library in a fresh interpreter, after others; None: it loads."""
    code = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path)"
    child = subprocess.run(
        [sys.executable, "-c", code, *map(str, before), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return child.stderr.strip().splitlines()[-1] if child.returncode else None
