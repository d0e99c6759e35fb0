"""Loading beside the engine's own loader, in one process: ``python -m benchmarks.loading [ROOT]``, where vLLM is.

A generated Llama in BF16 (one shard, and several) and in GPTQ is loaded as the engine loads it and as mixprec does, by
turns, from a cold and from a warm page cache. Then a mixture of both. Prints a table in Markdown and asserts nothing.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated import COMMON, FORMATS, SIZES
from benchmarks.loads import Load, forget_files, measure_load, prepare_world
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.runfolder import write_run_folder

SHARD = 1 << 28
MIX = """\
model: {root}/bf16
sources: {{gptq: {{path: {root}/gptq}}}}
rules: [{{targets: ['re:.*\\.mlp\\..*'], source: gptq}}]
"""
HEAD = (
    "| checkpoint | page cache | GB | engine's own, s | mixprec, s | times | CPU, times "
    "| bytes from disk of those used | memory of its own |"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run folder, what the engine loads itself in its place (None: it cannot), and all folders that are read."""

    name: str
    run: Path
    engine: Path | None
    folders: tuple[Path, ...]
    bytes: int


def checkpoints(root: Path, layers: int) -> None:
    """Write the generated checkpoints that are not there yet."""
    config: Mapping[str, object] = {**COMMON, **SIZES["1b"], "num_hidden_layers": layers}
    whole = 1 << 40
    for name, form, shard in (("bf16", None, whole), ("bf16-shards", None, SHARD), ("gptq", FORMATS["gptq"], whole)):
        if not (root / name / "config.json").is_file():
            write_generated_model(config, root / name, format=form, shard_bytes=shard)


def case(root: Path, name: str) -> Case:
    """A case and its run folder; ``mixture`` is of two checkpoints, all others are uniform."""
    mix = root / f"{name}.yaml"
    mix.write_text(MIX.format(root=root) if name == "mixture" else f"model: {root / name}\n", encoding="utf-8")
    plan = make_plan(read_mix(mix))
    return Case(
        name=name,
        run=write_run_folder(plan, root=root / "runs"),
        engine=None if name == "mixture" else root / name,
        folders=tuple(source.path for source in plan.sources.values()),
        bytes=sum(layer.nbytes for layer in plan.layers),
    )


def measure(case: Case, *, cold: bool, rounds: int) -> tuple[list[Load], list[Load]]:
    """Loads by the engine and by mixprec, by turns."""
    found: tuple[list[Load], list[Load]] = ([], [])
    for turn in range(rounds):
        for ours in (True, False) if turn % 2 else (False, True):
            folder = case.run if ours else case.engine
            if folder is None:
                continue
            if cold:
                for each in case.folders:
                    forget_files(each)
            found[ours].append(measure_load(folder, ours=ours))
    return found


def row(case: Case, cold: bool, theirs: Sequence[Load], ours: Sequence[Load]) -> str:
    """A row of the table: medians of seconds, and of the ratios of neighbouring loads."""
    pairs = list(zip(theirs, ours, strict=False))
    cells = [case.name, "cold" if cold else "warm", f"{case.bytes / 1e9:.2f}"]
    cells.append(f"{statistics.median(load.seconds for load in theirs):.2f}" if theirs else "-")
    cells.append(f"{statistics.median(load.seconds for load in ours):.2f}")
    cells.append(f"{statistics.median(b.seconds / a.seconds for a, b in pairs):.2f}" if pairs else "-")
    cells.append(f"{statistics.median(b.cpu_seconds / a.cpu_seconds for a, b in pairs):.2f}" if pairs else "-")
    cells.append(f"{statistics.median(load.disk_bytes / case.bytes for load in ours):.4f}" if cold else "-")
    cells.append(f"{statistics.median(load.memory_bytes / load.model_bytes for load in ours):.2f} x the model")
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("root", nargs="?", type=Path, help="where checkpoints lie or are written")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["bf16", "bf16-shards", "gptq", "mixture"])
    given = parser.parse_args(arguments)
    root = (given.root or Path(tempfile.mkdtemp(prefix="loading-"))).resolve()
    checkpoints(root, given.layers)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    prepare_world()
    print(f"load average of one minute: {os.getloadavg()[0]:.1f}\n\n{HEAD}\n" + "|---" * (HEAD.count("|") - 1) + "|")
    for name in given.only:
        each = case(root, name)
        for cold in (True, False):
            print(row(each, cold, *measure(each, cold=cold, rounds=given.rounds)), flush=True)
    print(f"\nload average of one minute: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
