"""Ranks, stages and the cache that the engine's arguments ask for reach the plan, as the engine reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_runtime.launching.sharing import shared_as_asked
from mixprec_runtime.records.mix import Mark, Mix, Source

SOURCE = Source(name="model", path=Path("base"), mark=Mark(file="mix.yaml", line=1, column=1))


def mix(**serve: object) -> Mix:
    return Mix(file=Path("mix.yaml"), model=SOURCE, sources={}, rules=(), serve=serve)


@pytest.mark.parametrize("words, ranks, stages", [
    ("", 4, 1),
    ("-tp 2", 2, 1),
    ("-tp=2", 2, 1),
    ("--tensor-parallel-size 2 --pipeline-parallel-size 3", 2, 3),
    ("--tensor_parallel_size=2 -pp 2", 2, 2),
    ("--tensor-parallel 8", 8, 1),  # argparse takes what begins like one option only
    ("-tp 2 --tensor-parallel-size 1", 1, 1),  # the last one counts
    ("-tp two", 4, 1),  # the engine will say what it thinks of that
    ("-tp", 4, 1),
    ("--port 2 --max-num-seqs 3", 4, 1),
])  # fmt: skip
def test_arguments_after_the_dashes_win_over_the_mix_file(words: str, ranks: int, stages: int) -> None:
    found = shared_as_asked(mix(tensor_parallel_size=4), words.split())
    assert (found.ranks, found.stages) == (ranks, stages)


@pytest.mark.parametrize("serve, ranks", [
    ({"tensor-parallel-size": 2}, 2), ({"tensor_parallel_size": "2"}, 2), ({"tensor_parallel_size": 0}, 1), ({}, 1),
    ({"tensor_parallel_size": True}, 1),
])  # fmt: skip
def test_a_mix_says_its_ranks_in_either_spelling(serve: dict[str, object], ranks: int) -> None:
    assert mix(**serve).ranks == ranks
    assert shared_as_asked(mix(**serve), ["-tp", "3"]).ranks == 3


@pytest.mark.parametrize("words, kind", [
    ("", "auto"), ("--kv-cache-dtype fp8", "fp8"), ("--kv_cache_dtype=fp8_e5m2", "fp8_e5m2"),
    ("--kv-cache-dtype fp8 --kv-cache-dtype auto", "auto"), ("--kv-cache-dtype", "auto"),
])  # fmt: skip
def test_the_type_of_the_cache_reaches_the_plan_too(words: str, kind: str) -> None:
    assert shared_as_asked(mix(), words.split()).cache_dtype == kind
    assert shared_as_asked(mix(**{"kv-cache-dtype": "fp8_e4m3"}), ["-tp", "2"]).cache_dtype == "fp8_e4m3"
