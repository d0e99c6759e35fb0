"""What a fit gains: ``python -m benchmarks.fitting ROOT [--sources awq,int8 ...] [--budgets 0.5 ...]``.

ROOT holds the demo's checkpoints. For each set of sources and each part of the way between its smallest and its largest
mixture, mixtures of equal bytes are put together in different ways, and each is measured on a text that no choice saw:
perplexity, and Kullback-Leibler divergence from the base in nats a token. "nearest" is a source too: AWQ's layout with
weights rounded to nearest, which is made beside the results; other sources are named with ``--folder NAME=PATH``.
Nothing is asserted.

* fit: what ``plan --fit`` takes: the exact choice, with what units of a layer lose together
* exact, each unit alone: the exact choice without that
* greedy: from the smallest mixture, always the change that saves most loss for a byte
* error exact: the integer programme on the weights' errors, which needs no text
* first, last: as many layers as fit from the next larger source, counted from that end
* random: changes in a random order as long as they fit; mean and standard deviation of ``--random`` mixtures
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mixprec_runtime.fitting.baselines import greedy, random_units
from mixprec_runtime.fitting.choices import problem_of
from mixprec_runtime.fitting.solver import least_loss
from mixprec_runtime.fitting.texts import builtin_text, read_text
from mixprec_runtime.measuring.sensitivity import Sensitivity, TextsOfFit
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.records.fit import Losses, MeasuredMixture, Option, Problem
from mixprec_runtime.records.fit_report import Limit
from mixprec_runtime.records.mix import BASE_SOURCE

ENDINGS = {"model": "Instruct", "gptq": "GPTQ-Int4", "awq": "AWQ-Int4", "int8": "W8A8-INT8", "fp8": "FP8-Dynamic"}
SETS = ("awq,int8", "gptq,awq,int8", "gptq,awq,int8,fp8,model")
GROUP = 64  # weights that "nearest" gives one scale, as the demo's AWQ has

Chosen = dict[str, str]
Measure = Callable[[str, Mapping[str, str]], MeasuredMixture]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table; the spreads are of several mixtures, and 0 for one."""

    sources: str
    budget: float | None  # None: a source alone
    way: str
    bytes: int
    perplexity: float
    divergence: float
    perplexity_spread: float = 0.0
    divergence_spread: float = 0.0


def main() -> int:
    """Measure and print a table; gives 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench/fitting"), help="what is kept between runs")
    parser.add_argument("--sources", nargs="*", default=SETS, help="sets of sources, each joined by commas")
    parser.add_argument("--folder", nargs="*", default=(), metavar="NAME=PATH", help="further sources")
    parser.add_argument("--budgets", type=float, nargs="*", default=(0.25, 0.5, 0.75))
    parser.add_argument("--random", type=int, default=20, help="random mixtures for each budget")
    parser.add_argument("--text", type=Path, help="what choices are made on; the built-in text when left out")
    parser.add_argument("--text-tokens", type=int, default=512)
    parser.add_argument("--judge", type=Path, help="what they are judged by; the other built-in text when left out")
    parser.add_argument("--judge-tokens", type=int, default=2560)
    parser.add_argument("--windows", type=int, nargs=2, default=(128, 512), metavar=("CHOICE", "JUDGE"))
    parser.add_argument("--json", type=Path, help="the rows as JSON, too")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    texts = TextsOfFit(
        choice=read_text(given.text) if given.text else builtin_text(),
        judge=read_text(given.judge) if given.judge else builtin_text(judge=True),
        choice_tokens=given.text_tokens,
        judge_tokens=given.judge_tokens,
        choice_window=given.windows[0],
        judge_window=given.windows[1],
    )
    folders = _folders(given.root, given.folder, given.out, wanted=",".join(given.sources).split(","))
    sys.stdout.write(f"chosen on {texts.choice.name}, judged by {texts.judge.name}\n")
    rows: list[Row] = []
    for names in given.sources:
        found = _compared(names.split(","), folders, texts, given)
        rows += found
        _show(names, found)
    if given.json:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0


def _folders(root: Path, further: Iterable[str], out: Path, *, wanted: Iterable[str]) -> dict[str, Path]:
    found = {
        name: folder.resolve()
        for name, ending in ENDINGS.items()
        for folder in sorted(root.glob(f"*{ending}"))
        if folder.is_dir()
    }
    found |= {name: Path(path).resolve() for name, _, path in (each.partition("=") for each in further)}
    if "nearest" in wanted and "nearest" not in found:
        found["nearest"] = _nearest(found[BASE_SOURCE], out.resolve() / "nearest")
    return found


def _nearest(base: Path, out: Path) -> Path:
    """A checkpoint in AWQ's layout whose weights are rounded to nearest, which needs no text and is worse."""
    from safetensors.torch import load_file

    from mixprec_runtime.packing.awq import awq_quantization_config, awq_tensors
    from mixprec_runtime.packing.folder import write_checkpoint
    from mixprec_runtime.packing.grids import encode, fit_grid

    if not (out / "config.json").is_file():
        coded = {
            name.removesuffix(".weight"): encode(weight, fit_grid(weight, group_size=GROUP, symmetric=False))
            for name, weight in load_file(base / "model.safetensors").items()
            if name.endswith("_proj.weight")
        }
        quantization = awq_quantization_config(group_size=GROUP)
        write_checkpoint(base, out, coded=coded, layout=awq_tensors, quantization=quantization, side_file=None)
    return out


def _compared(names: list[str], folders: Mapping[str, Path], texts: TextsOfFit, given: argparse.Namespace) -> list[Row]:
    label = ",".join(names)
    used = {name: folders[name] for name in (BASE_SOURCE, *names)}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "mix.yaml"
        sources = "".join(f"  {name}: {{path: {path}}}\n" for name, path in used.items() if name != BASE_SOURCE)
        file.write_text(f"model: {used[BASE_SOURCE]}\nsources:\n{sources}ignore: [lm_head]\n", encoding="utf-8")
        problem = problem_of(read_mix(file), choose=names)
    with Sensitivity(
        problem, used, texts, root=given.out / "measured", most_bytes=8 << 30, progress=lambda *_: None
    ) as measuring:
        losses = measuring.losses("kl")
        errors = measuring.losses("error")
        sys.stderr.write(f"{label}: {len(losses.alone)} losses in {losses.seconds:.0f} s, {errors.seconds:.0f} s\n")

        def measure(way: str, chosen: Mapping[str, str]) -> MeasuredMixture:
            began = time.perf_counter()
            found = measuring.mixture(way, chosen)
            sys.stderr.write(f"  {way}: {found.perplexity:.3f} ({time.perf_counter() - began:.1f} s)\n")
            return found

        alone = _alone(problem)
        rows = [_row(label, None, f"all {name}", measure(name, chosen)) for name, chosen in alone.items()]
        sizes = [problem.bytes_of(chosen) for chosen in (_smallest(problem), _largest(problem))]
        for part in given.budgets:
            most = int(sizes[0] + part * (sizes[1] - sizes[0]))
            ways = _ways(problem, losses, errors, alone, most)
            rows += [_row(label, part, way, measure(way, chosen)) for way, chosen in ways.items()]
            some = [measure(f"random {seed}", _random(problem, losses, most, seed)) for seed in range(given.random)]
            rows += [_row(label, part, f"random, mean of {len(some)}", *some)] if some else []
    return rows


def _ways(
    problem: Problem, losses: Losses, errors: Losses, alone: Mapping[str, Chosen], most: int
) -> dict[str, Chosen]:
    limit = Limit(bytes=most)
    forwards = sorted(range(len(problem.units)), key=lambda at: (_layer(problem, at), at))
    low, high = _neighbours(problem, losses, alone, most)
    return {
        "fit": dict(least_loss(problem, losses, limit=limit).sources),
        "exact, each unit alone": dict(least_loss(problem, replace(losses, joint=()), limit=limit).sources),
        "greedy": _greedy(problem, losses, most),
        "error exact": dict(least_loss(problem, errors, limit=limit).sources),
        "first layers": _raised(problem, low, ((at, high) for at in forwards), most),
        "last layers": _raised(problem, low, ((at, high) for at in reversed(forwards)), most),
    }


def _layer(problem: Problem, at: int) -> float:
    layer = problem.units[at].layer
    return float("inf") if layer is None else layer


def _alone(problem: Problem) -> dict[str, Chosen]:
    """Each source that has all units."""
    names = dict.fromkeys(option.source for unit in problem.units for option in unit.options)
    has = {unit.name: {option.source for option in unit.options} for unit in problem.units}
    return {name: dict.fromkeys(has, name) for name in names if all(name in sources for sources in has.values())}


def _extreme(problem: Problem, pick: Callable[..., Option]) -> Chosen:
    return {unit.name: pick(unit.options, key=lambda option: option.bytes).source for unit in problem.units}


def _smallest(problem: Problem) -> Chosen:
    return _extreme(problem, min)


def _largest(problem: Problem) -> Chosen:
    return _extreme(problem, max)


def _neighbours(
    problem: Problem, losses: Losses, alone: Mapping[str, Chosen], most: int
) -> tuple[Chosen, Callable[[int], str]]:
    """What one would mix by hand: the best source alone that fits, and the next larger one that loses less."""
    ladder: list[Chosen] = []
    for chosen in sorted(alone.values(), key=lambda each: (problem.bytes_of(each), losses.of(each))):
        if not ladder or losses.of(chosen) < losses.of(ladder[-1]):
            ladder.append(chosen)
    low = max((each for each in ladder if problem.bytes_of(each) <= most), key=problem.bytes_of, default=ladder[0])
    high = next((each for each in ladder if problem.bytes_of(each) > most), low)
    return low, lambda at: high[problem.units[at].name]


def _raised(problem: Problem, start: Chosen, steps: Iterable[tuple[int, Callable[[int], str]]], most: int) -> Chosen:
    """Step after step is taken where it fits and can be served."""
    chosen, size = dict(start), problem.bytes_of(start)
    for at, source_of in steps:
        unit = problem.units[at]
        option, was = unit.option(source_of(at)), unit.option(chosen[unit.name])
        grown = size + option.bytes - was.bytes
        changed = {**chosen, unit.name: option.source}
        if grown <= most and _is_served(problem, changed):
            chosen, size = changed, grown
    return chosen


def _is_served(problem: Problem, chosen: Mapping[str, str]) -> bool:
    return not any(all(chosen[unit] == source for unit, source in each.choices) for each in problem.forbidden)


def _random(problem: Problem, losses: Losses, most: int, seed: int) -> Chosen:
    found = random_units(problem, losses, budget=most, seed=seed)
    return dict(found.sources) if found is not None else _smallest(problem)


def _greedy(problem: Problem, losses: Losses, most: int) -> Chosen:
    found = greedy(problem, losses, budget=most)
    return dict(found.sources) if found is not None else _smallest(problem)


def _row(sources: str, budget: float | None, way: str, *measured: MeasuredMixture) -> Row:
    perplexities = [each.perplexity for each in measured]
    divergences = [each.divergence for each in measured]
    several = len(measured) > 1
    return Row(
        sources=sources,
        budget=budget,
        way=way,
        bytes=max(each.bytes for each in measured),
        perplexity=statistics.mean(perplexities),
        divergence=statistics.mean(divergences),
        perplexity_spread=statistics.stdev(perplexities) if several else 0.0,
        divergence_spread=statistics.stdev(divergences) if several else 0.0,
    )


def _show(names: str, rows: Iterable[Row]) -> None:
    sys.stdout.write(f"\n{names}\n{'budget':>6}  {'':22}{'MB':>8}{'perplexity':>18}{'divergence':>20}\n")
    for row in rows:
        perplexity = f"{row.perplexity:.2f}" + (f" ± {row.perplexity_spread:.2f}" if row.perplexity_spread else "")
        divergence = f"{row.divergence:.4f}" + (f" ± {row.divergence_spread:.4f}" if row.divergence_spread else "")
        part = "" if row.budget is None else f"{row.budget:g}"
        sys.stdout.write(f"{part:>6}  {row.way:22}{row.bytes / 1e6:>8.1f}{perplexity:>18}{divergence:>20}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
