"""``python -m benchmarks``: measure, print a table in Markdown, write all samples as JSON. Nothing is asserted."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.measuring import Command, Comparison, Figures, measure
from benchmarks.project import copy_project
from benchmarks.subtree import Subtree, copy_installed, copy_release
from mixprec_doctor.machine import read_machine

RELEASE = "vllm==0.33.0"
MIXPREC = (sys.executable, "-m", "mixprec_runtime")
EVERYTHING = ("sglang>=0.4.0", "vllm>=0.8.0")


def main() -> int:
    """Measure what is asked for, and give 0."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        comparisons = [_help(), *_release(work), *_installed(options.python, work), *_check(options.python, work)]
        comparisons += list(_everything()) if options.all else []
        figures = []
        for each in comparisons:
            _tell(f"measuring {each.title}")
            figures.append(measure(each))
        traffic = _traffic(work)
    facts = _facts()
    _write(options.output, facts, traffic, figures)
    sys.stdout.write("\n".join(_page(facts, traffic, figures)) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--all", action="store_true", help="all releases of both engines too: some minutes")
    parser.add_argument("--python", type=Path, action="append", default=[], help="an interpreter with an engine")
    parser.add_argument("-o", "--output", type=Path, default=Path(".cache/bench/figures.json"), metavar="FILE")
    return parser.parse_args()


def _help() -> Comparison:
    words = (sys.executable, "-c", "import click")
    return Comparison(
        title="mixprec --help", ours=Command(words=(*MIXPREC, "--help")), peer=Command(words=words),
        peer_title="python -c 'import click'", repeats=15,
    )  # fmt: skip


def _release(work: Path) -> Iterator[Comparison]:
    """One release of the index; the peer has its files on the disk already."""
    subtree = copy_release(RELEASE, work / "release")
    words = (*MIXPREC, "resolve", RELEASE)
    for title, cold, repeats in (("from the index", True, 5), ("from the cache", False, 9)):
        yield Comparison(
            title=f"mixprec resolve {RELEASE}, {title}", ours=Command(words=words, cold=cold, accepts=(0, 1)),
            peer=_griffe(subtree), peer_title=_words(subtree), repeats=repeats,
        )  # fmt: skip


def _installed(pythons: Sequence[Path], work: Path) -> Iterator[Comparison]:
    if not pythons:
        _tell("no --python with an engine: the installed environment is left out")
    for count, python in enumerate(pythons):
        subtree = copy_installed(python, work / f"installed-{count}")
        words = (*MIXPREC, "resolve", "--python", str(python))
        yield Comparison(
            title=f"mixprec resolve --python PYTHON, installed {subtree.package}",
            ours=Command(words=words, cold=True, accepts=(0, 1)),
            peer=_griffe(subtree), peer_title=_words(subtree), repeats=9,
        )  # fmt: skip


def _check(pythons: Sequence[Path], work: Path) -> Iterator[Comparison]:
    """Somebody's code against releases; the peers read the same files and know nothing of packages."""
    project = copy_project(RELEASE, work / "project")
    words = (*MIXPREC, "check", str(project.folder))
    size = f"{project.files} files, {project.lines} lines"
    parse = "import ast, pathlib, sys; [ast.parse(p.read_bytes()) for p in pathlib.Path(sys.argv[1]).rglob('*.py')]"
    peers = (
        ((sys.executable, "-c", parse, str(project.folder)), f"ast.parse of the same {size}"),
        ((sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F", str(project.folder)),
         f"ruff check --select F of the same {size}"),
    )  # fmt: skip
    ways = [("--python PYTHON, installed", ("--python", str(python))) for python in pythons]
    ways += [(f"--against {RELEASE}, from the cache", ("--against", RELEASE))]
    for title, more in ways:
        for peer, peer_title in peers:
            yield Comparison(
                title=f"mixprec check {title}", ours=Command(words=(*words, *more), accepts=(0, 1)),
                peer=Command(words=peer, accepts=(0, 1)), peer_title=peer_title, repeats=9,
            )  # fmt: skip


def _everything() -> Iterator[Comparison]:
    words = (*MIXPREC, "matrix", *EVERYTHING)
    for title, cold, repeats in (("from the index", True, 1), ("from the cache", False, 3)):
        yield Comparison(
            title=f"mixprec matrix '{EVERYTHING[0]}' '{EVERYTHING[1]}', {title}",
            ours=Command(words=words, cold=cold, accepts=(0, 1)), peer=None, peer_title="none", repeats=repeats,
        )  # fmt: skip


def _griffe(subtree: Subtree) -> Command:
    words = (sys.executable, "-m", "benchmarks.peer", str(subtree.folder), subtree.package, str(subtree.files))
    return Command(words=words)


def _words(subtree: Subtree) -> str:
    return f"griffe loads {subtree.files} files of {subtree.package} ({subtree.size / 2**20:.1f} MiB) from the disk"


def _traffic(work: Path) -> dict[str, object]:
    """Counted in a run of its own, which is not timed."""
    environment = {**os.environ, "MIXPREC_CACHE": str(work / "traffic")}
    words = (sys.executable, "-m", "benchmarks.traffic", RELEASE)
    counted = subprocess.run(words, check=True, capture_output=True, env=environment).stdout
    found: dict[str, object] = json.loads(counted)
    return found


def _facts() -> dict[str, object]:
    machine = read_machine()
    return {
        "mixprec": importlib.metadata.version("mixprec"),
        "griffe": importlib.metadata.version("griffe"),
        "python": platform.python_version(),
        "cpu": machine.cpu,
        "cores": os.cpu_count(),
        "taken": datetime.now(timezone.utc).isoformat(timespec="minutes"),
    }


def _write(path: Path, facts: dict[str, object], traffic: dict[str, object], figures: Sequence[Figures]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**facts, "traffic": traffic, "comparisons": [asdict(each) for each in figures]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _tell(f"all samples are in {path}")


def _page(facts: dict[str, object], traffic: dict[str, object], figures: Sequence[Figures]) -> Iterator[str]:
    yield f"{facts['cpu']}, {facts['cores']} cores, {facts['taken']}"
    yield f"mixprec {facts['mixprec']}, griffe {facts['griffe']}, Python {facts['python']}"
    yield ""
    heads = "what, seconds (from - to), CPU, MiB, peer: seconds, CPU, MiB, ratio: seconds, CPU, memory, load"
    yield f"| {heads.replace(', ', ' | ')} |"
    yield f"|{'---|' * 11}"
    for each in figures:
        seconds, cpu, peak = each.seconds, each.cpu_seconds, each.peaks
        cells = [
            each.title, f"{seconds[0]:.2f} ({each.spread[0]:.2f} - {each.spread[1]:.2f})", f"{cpu[0]:.2f}",
            f"{peak[0] / 2**20:.0f}", _cell(seconds[1]), _cell(cpu[1]), _cell(peak[1], unit=2**20, digits=0),
            *(_cell(other and ours / other) for ours, other in (seconds, cpu, peak)),
            f"{each.loads[0]:.1f} - {each.loads[1]:.1f}",
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from (f"Peer of {each.title}: {each.peer_title}." for each in figures)
    yield ""
    page, wheel = (int(str(traffic[part])) / 2**20 for part in ("page", "wheel"))
    yield f"{traffic['requests']} requests; {page:.2f} MiB of index page, {wheel:.2f} MiB of {traffic['file']}."


def _cell(value: float | None, *, unit: int = 1, digits: int = 2) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def _tell(words: str) -> None:
    sys.stderr.write(f"bench: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
