"""A mixture beside each of its checkpoints, served by the same engine: ``python -m benchmarks.serving MIX``.

Each is loaded in a process of its own, without a server, and answers the same requests of random tokens: *decode* is
many new tokens after short prompts, *prefill* long prompts and one new token. Tokens per second are medians. The run
needs the engine in its interpreter; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixprec_runtime.records.plan import Plan

SECONDS = 900  # for one process
LOADED = re.compile(r"Loading weights took ([0-9.]+) seconds")
HELD = re.compile(r"Model loading took ([0-9.]+) (?:GiB|GB)")
PROFILED, SHOWN = 32, 12  # new tokens that are looked at closely, and kernels that are told
VOCABULARY = 1000  # tokens are drawn from the first so many, which every vocabulary has


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of each engine."""

    requests: int
    prompt: int  # tokens of a long prompt
    new: int  # tokens after a short one
    repeats: int
    short: int = 16
    profile: bool = False


@dataclass(frozen=True, kw_only=True)
class Served:
    """What one process did; ``fault`` where it could not. Rates are tokens per second, one of each repeat."""

    subject: str
    bytes: int
    load_seconds: float | None = None
    start_seconds: float | None = None
    held_gib: float | None = None
    peak_bytes: int | None = None
    decode: tuple[float, ...] = ()
    prefill: tuple[float, ...] = ()
    fault: str | None = None
    busy: float | None = None  # part of the time of decoding in which the accelerator computes
    kernels: tuple[tuple[str, float], ...] = ()  # what it computes then, and microseconds per new token of a request
    note: str | None = None  # why the engine alone could not, where mixprec's kernels had to help


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to serve, and its part in the mixture: bytes and parameters of linear layers."""

    name: str
    arguments: Mapping[str, Any]
    bytes: int
    share_bytes: int = 0
    share_parameters: int = 0
    source: str = ""


def main() -> int:
    """Measure every subject in turn, tell a table in Markdown, and give 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mix", type=Path)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engine-args", type=json.loads, default={}, metavar="JSON", help="for all alike")
    parser.add_argument("--only", action="append", default=[], metavar="SUBJECT")
    parser.add_argument("--profile", action="store_true", help="what the accelerator does while decoding, too")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    load = Load(
        requests=given.requests, prompt=given.prompt, new=given.new, repeats=given.repeats, profile=given.profile
    )
    subjects = list(_subjects(given.mix, given.engine_args))
    results = []
    for subject in subjects:
        if given.only and subject.name not in given.only:
            continue
        sys.stderr.write(f"{subject.name} ...\n")
        found = _in_process(subject, load)
        if found.fault and subject.share_bytes:
            sys.stderr.write(f"{_row(found)}\n")
            found = replace(_in_process(_by_mixprec(subject, given.mix, given.engine_args), load), note=found.fault)
        results.append(found)
        sys.stderr.write(f"{_row(results[-1])}\n")
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in results], indent=1), encoding="utf-8")
    sys.stdout.write("\n".join(page(subjects, results, load)) + "\n")
    return 0


def _subjects(mix: Path, more: Mapping[str, Any]) -> Iterator[Subject]:
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.vllm import prepare

    wish = read_mix(mix)
    plan = make_plan(wish, tensor_parallel_size=more.get("tensor_parallel_size", wish.ranks))
    yield from checkpoints(plan, {**wish.serve, **more})
    yield Subject(name="mixture", arguments={**prepare(mix, **more)}, bytes=plan.totals.bytes)


def checkpoints(plan: Plan, arguments: Mapping[str, Any]) -> Iterator[Subject]:
    """Each checkpoint of a plan as a model of its own, with its part in the mixture."""
    linear = [layer for layer in plan.layers if len(layer.shape) == 2 and layer.layer.endswith("_proj")]
    for name, source in plan.sources.items():
        own = [layer for layer in linear if layer.source == name]
        yield Subject(
            name="BF16 base" if name == "model" else name,
            arguments={**arguments, "model": str(source.path)},
            bytes=sum(file.stat().st_size for file in source.path.glob("*.safetensors")),
            share_bytes=sum(layer.nbytes for layer in own),
            share_parameters=sum(layer.shape[0] * layer.shape[1] for layer in own),
            source=name,
        )


def _by_mixprec(subject: Subject, mix: Path, more: Mapping[str, Any]) -> Subject:
    """The checkpoint as a mixture of one source, for an engine that has no kernel for it here."""
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.vllm import prepare

    wish = read_mix(mix)
    said = {
        "model": str(wish.model.path), "sources": {subject.source: {"path": str(wish.source(subject.source).path)}},
        "default": subject.source, "ignore": ["lm_head"], "serve": dict(wish.serve),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{subject.source}.yaml"
        file.write_text(json.dumps(said), encoding="utf-8")
        return replace(subject, arguments=prepare(file, **more))


def _in_process(subject: Subject, load: Load) -> Served:
    with tempfile.TemporaryDirectory() as folder:
        asked, answer, log = (Path(folder) / name for name in ("asked.json", "answer.json", "log.txt"))
        asked.write_text(json.dumps({"arguments": dict(subject.arguments), **asdict(load)}), encoding="utf-8")
        words = [sys.executable, "-c", "import sys; from benchmarks.serving import child; child(*sys.argv[1:])"]
        environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as stream:
            try:
                subprocess.run(
                    [*words, str(asked), str(answer)], stdout=stream, stderr=subprocess.STDOUT, env=environment,
                    timeout=SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return Served(subject=subject.name, bytes=subject.bytes, fault=f"no answer in {SECONDS} s")
        text = log.read_text(encoding="utf-8", errors="replace")
        if not answer.is_file():
            lines = [line for line in text.splitlines() if re.search(r"\w(Error|Exception)\b", line)]
            return Served(subject=subject.name, bytes=subject.bytes, fault=(lines or ["ended without a word"])[-1])
        told = json.loads(answer.read_text(encoding="utf-8"))
    return Served(
        subject=subject.name,
        bytes=subject.bytes,
        load_seconds=_last(LOADED, text),
        held_gib=_last(HELD, text),
        start_seconds=told["start_seconds"],
        peak_bytes=told["peak_bytes"],
        decode=tuple(told["decode"]),
        prefill=tuple(told["prefill"]),
        busy=told["busy"],
        kernels=tuple((name, micros) for name, micros in told["kernels"]),
    )


def _last(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.findall(text)
    return float(found[-1]) if found else None


def child(asked: str, answer: str) -> None:
    """Serve one subject and write what it took; runs in a process of its own."""
    import resource

    import torch
    from vllm import LLM, SamplingParams

    raw = json.loads(Path(asked).read_text(encoding="utf-8"))
    arguments = {"enable_prefix_caching": False, **raw["arguments"]}
    for server in ("host", "port", "served_model_name"):
        arguments.pop(server, None)
    began = time.perf_counter()
    engine = LLM(**arguments)
    start = time.perf_counter() - began

    def ask(length: int, new: int) -> float:
        drawn = torch.randint(3, VOCABULARY, (raw["requests"], length), generator=torch.Generator().manual_seed(1))
        prompts = [{"prompt_token_ids": row} for row in drawn.tolist()]
        wanted = SamplingParams(temperature=0, max_tokens=new, ignore_eos=True, detokenize=False)
        then = time.perf_counter()
        found = engine.generate(prompts, wanted, use_tqdm=False)
        seconds = time.perf_counter() - then
        given = sum(len(each.outputs[0].token_ids) for each in found)
        return (given if new > 1 else raw["requests"] * length) / seconds

    rates: dict[str, list[float]] = {"decode": [], "prefill": []}
    for turn in range(raw["repeats"] + 1):
        decode, prefill = ask(raw["short"], raw["new"]), ask(raw["prompt"], 1)
        if turn:  # the first warms up
            rates["decode"].append(decode)
            rates["prefill"].append(prefill)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_reserved()
    told = {"start_seconds": start, "peak_bytes": peak, **rates, "busy": None, "kernels": []}
    if raw["profile"] and torch.cuda.is_available():
        told |= _profiled(lambda: ask(raw["short"], PROFILED), raw["requests"])
    Path(answer).write_text(json.dumps(told), encoding="utf-8")
    os._exit(0)  # an engine's own end can take longer than all of this, or fail


def _profiled(work: Callable[[], float], requests: int) -> dict[str, Any]:
    """How busy the accelerator is during some decoding, and with what."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        rate = work()
    spent = {each.key: each.self_device_time_total for each in seen.key_averages() if each.self_device_time_total}
    most = sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]
    steps = requests * PROFILED / rate * 1e6
    return {"busy": sum(spent.values()) / steps, "kernels": [(name[:90], micros / PROFILED) for name, micros in most]}


def _row(served: Served) -> str:
    if served.fault:
        return f"| {served.subject} | {served.bytes / 1e9:.2f} | | | | | | {served.fault[:120]} |"
    decode, prefill = statistics.median(served.decode), statistics.median(served.prefill)
    spread = max(max(rates) / min(rates) for rates in (served.decode, served.prefill)) - 1
    cells = (
        f"{served.bytes / 1e9:.2f}", _cell(served.load_seconds), _cell(served.start_seconds), _cell(served.held_gib),
        f"{(served.peak_bytes or 0) / 1e9:.2f}", f"{decode:,.0f}", f"{prefill:,.0f} (±{spread / 2:.1%})",
    )  # fmt: skip
    name = f"{served.subject} (by mixprec)" if served.note else served.subject
    return f"| {name} | {' | '.join(cells)} |"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def page(subjects: Sequence[Subject], results: Sequence[Served], load: Load) -> list[str]:
    """The lines of a table, and what the mixture's rates are beside those of its checkpoints."""
    lines = [
        f"{load.requests} requests at once; decode: {load.new} tokens after {load.short}; "
        f"prefill: {load.prompt} tokens; medians of {load.repeats}",
        "",
        "| | GB on disk | loading, s | start, s | model, GiB | peak, GB | decode, tokens/s | prefill, tokens/s |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(each) for each in results),
        "",
    ]
    for each in results:
        if each.busy is not None:
            lines.append(f"{each.subject}, decoding: accelerator busy {each.busy:.0%}; microseconds a step:")
            lines += [f"  {micros:8.1f} {name}" for name, micros in each.kernels]
    by_name = {each.subject: each for each in results if not each.fault}
    mixed = by_name.get("mixture")
    parts = [each for each in subjects if each.share_bytes]
    if mixed is None or not all(each.name in by_name for each in parts):
        return lines
    for what in ("decode", "prefill"):
        rates = {name: statistics.median(getattr(each, what)) for name, each in by_name.items()}
        whole = sum(each.share_bytes for each in parts)
        mean = sum(rates[each.name] * each.share_bytes / whole for each in parts)
        numbers = sum(each.share_parameters for each in parts)
        added = 1 / sum(each.share_parameters / numbers / rates[each.name] for each in parts)
        lines.append(
            f"{what}: {rates['mixture'] / mean:.3f} of the checkpoints' mean weighted by their bytes in the mixture, "
            f"{rates['mixture'] / added:.3f} of what their times add up to by parameters"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
