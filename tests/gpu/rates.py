"""Tokens per second of a served mixture and of each of its checkpoints, in turns, one server at a time."""

from __future__ import annotations

__all__ = ["measure"]

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.serving import VOCABULARY, Load, Served, checkpoints, page
from mixprec_runtime.records.plan import Plan
from tests.gpu.sglang_server import Server, generate

MIXTURE = "mixture"
Rates = dict[str, dict[str, list[float]]]


def measure(
    servers: Mapping[str, Server], plan: Plan, *, repeats: int, say: Callable[[str], None]
) -> tuple[str, Rates]:
    """A table in Markdown, and all rates by server. The mixture's server is ``mixture``, others go by their source.

    Turns go round all servers, so that what changes meanwhile changes for all; the first turn warms up.
    """
    load = Load(requests=32, prompt=1024, new=256, repeats=repeats)
    rates: Rates = {name: {"decode": [], "prefill": []} for name in servers}
    for turn in range(repeats + 1):
        for name, server in servers.items():
            try:
                decode = _rate(server.url, requests=load.requests, length=load.short, new=load.new, seed=turn)
                prefill = _rate(server.url, requests=load.requests, length=load.prompt, new=1, seed=turn)
            except OSError as fault:
                say(f"{name}: {fault}")
                continue
            if turn:
                rates[name]["decode"].append(decode)
                rates[name]["prefill"].append(prefill)
    subjects = list(checkpoints(plan, {}))
    sizes = {subject.source: (subject.name, subject.bytes) for subject in subjects}
    sizes[MIXTURE] = (MIXTURE, plan.totals.bytes)
    results = []
    for name, server in servers.items():
        told, (title, size) = server.told(), sizes[name]
        results.append(
            Served(
                subject=title,
                bytes=size,
                load_seconds=told["load_seconds"],
                start_seconds=server.ready_after,
                peak_bytes=server.gpu_bytes(),
                decode=tuple(rates[name]["decode"]),
                prefill=tuple(rates[name]["prefill"]),
                fault=None if all(rates[name].values()) else "gave no answers",
            )
        )
    return "\n".join(page(subjects, results, load)) + "\n", rates


def _rate(url: str, *, requests: int, length: int, new: int, seed: int) -> float:
    drawn = torch.randint(3, VOCABULARY, (requests, length), generator=torch.Generator().manual_seed(seed))
    began = time.perf_counter()
    found = generate(url, drawn.tolist(), new=new)
    seconds = time.perf_counter() - began
    given = sum(len(each["output_ids"]) for each in found)
    assert given == requests * new, given
    return (given if new > 1 else requests * length) / seconds
