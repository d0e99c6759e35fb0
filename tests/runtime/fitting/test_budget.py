"""A budget is read from its text, and worked out to a limit that says how it came about."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.fitting.budget import InvalidBudget, NoRoom, resolve_budget, smallest_bytes
from mixprec_runtime.fitting.errors import NoMixtureFits, UntimedOptions
from mixprec_runtime.fitting.kvcache import CacheUnknown, cache_bytes, served_tokens
from mixprec_runtime.records.fit import ChoiceUnit, Forbidden, Option, Problem
from mixprec_runtime.records.fit_report import Limit
from mixprec_runtime.records.mix import Mark, Mix, Source

MARK = Mark(file="sources.yaml", line=1, column=1)
SMALL = {
    "model_type": "llama", "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
    "hidden_size": 64, "max_position_embeddings": 2048, "dtype": "bfloat16",
}  # fmt: skip


def mix(folder: Path = Path(), **serve: object) -> Mix:
    return mix_with(serve, folder)


def mix_with(serve: dict[str, object], folder: Path = Path()) -> Mix:
    source = Source(name="model", path=folder, mark=MARK)
    return Mix(file=Path("sources.yaml"), model=source, sources={}, rules=(), serve=serve)


def problem(*, ranks: int = 1, forbidden: tuple[Forbidden, ...] = ()) -> Problem:
    """Two units that take 200,000 or 50,000 bytes, and as much again that is fixed."""
    form = Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16")
    options = tuple(
        Option(source=source, format=form, bytes=size, bytes_per_rank=(size // ranks,) * ranks)
        for source, size in (("model", 200_000), ("int4", 50_000))
    )
    units = tuple(
        ChoiceUnit(name=name, kind=name, layer=None, modules=(name,), parameters=1, options=options) for name in "ab"
    )
    return Problem(
        units=units, forbidden=forbidden, fixed_bytes=100_000, fixed_bytes_per_rank=(100_000 // ranks,) * ranks
    )


@pytest.mark.parametrize("text, most", [
    ("400kB", 400_000), ("0.4 MB", 400_000), ("400000", 400_000), ("300KiB", 307_200), (" 1.5GiB ", 3 * 2**29),
    ("2gb", 2 * 10**9), ("400000B", 400_000), ("0.5", 350_000), (".5", 350_000), ("50%", 350_000), ("0.0", 200_000),
    ("1.0", 500_000), ("100 %", 500_000), ("0.3333", 299_990),
])  # fmt: skip
def test_sizes_and_parts_of_the_range_become_bytes(text: str, most: int) -> None:
    assert resolve_budget(text, problem(), mix()).limit == Limit(bytes=most)


@pytest.mark.parametrize("text, fault", [
    ("", "is no size"), ("-1MB", "is no size"), ("0", "nothing fits in no bytes"), ("140 XB", "no unit 'XB'"),
    ("140M", "no unit 'M'"), ("1.5", "0.0 to 1.0"), ("101%", "0.0 to 1.0"), ("tpu:24GiB", "no budget of the kind 'tpu'"),
    ("gpu:", "is no size"), ("gpu:0.9", "nothing fits"), ("loss:", "is no loss"), ("loss:-1", "is no loss"),
    ("loss:nan", "is no loss"), ("loss:1e999", "is no loss"), ("1e3", "is no size"), ("٣MB", "is no size"),
    ("9" * 5000, "is no size"), ("1,5MB", "is no size"),
])  # fmt: skip
def test_a_text_that_is_no_budget_is_refused_with_examples(text: str, fault: str) -> None:
    with pytest.raises(InvalidBudget, match=fault) as refused:
        resolve_budget(text, problem(), mix())
    assert "try: 140MB" in str(refused.value) and len(str(refused.value)) < 400


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_a_clear_refusal(text: str) -> None:
    try:
        found = resolve_budget(text, problem(), mix())
    except (InvalidBudget, NoMixtureFits):
        return
    assert (found.limit is None) != (found.most_loss is None)


def test_a_loss_is_a_goal_of_its_own() -> None:
    budget = resolve_budget("loss:0.05", problem(), mix())
    assert (budget.limit, budget.most_loss) == (None, 0.05)
    assert budget.goal == "fewest bytes with a loss of 0.05 at most"


def test_a_budget_below_the_smallest_mixture_says_how_much_is_missing() -> None:
    with pytest.raises(NoMixtureFits, match="no mixture of these sources fits") as refused:
        resolve_budget("150kB", problem(), mix())
    assert refused.value.missing == 50_000


def test_the_smallest_mixture_is_one_that_can_be_served() -> None:
    pytest.importorskip("scipy")
    apart = Forbidden(choices=(("a", "int4"), ("b", "int4")), why="for this test")
    assert smallest_bytes(problem()) == 200_000
    assert smallest_bytes(problem(forbidden=(apart,))) == 350_000


def timed(seconds: float | None) -> Problem:
    """The same units, of which those in 16 bits take 3 ms and the others so long."""
    plain = problem()
    units = tuple(
        replace(
            unit,
            options=tuple(
                replace(option, seconds=0.003 if option.source == "model" else seconds) for option in unit.options
            ),
        )
        for unit in plain.units
    )
    return replace(plain, units=units)


@pytest.mark.parametrize("text, most", [
    ("5ms", 0.005), ("0.0041s", 0.0041), ("4200 us", 0.0042), ("2500µs", 0.0025), ("0.5", 0.004), ("0%", 0.002), ("1.0", 0.006),
])  # fmt: skip
def test_a_time_can_be_the_budget(text: str, most: float) -> None:
    limit = resolve_budget(text, timed(0.001), mix(), by_time=True).limit
    assert limit is not None and limit.bytes is None
    assert limit.seconds == pytest.approx(most)


def test_a_time_needs_kernels_that_were_timed_and_says_so_where_nothing_is_so_quick() -> None:
    with pytest.raises(UntimedOptions) as untimed:
        resolve_budget("5ms", timed(None), mix(), by_time=True)
    assert untimed.value.options == (("a", "int4"), ("b", "int4"))
    with pytest.raises(NoMixtureFits) as slow:
        resolve_budget("1.5ms", timed(0.001), mix(), by_time=True)
    assert slow.value.unit == "seconds"
    for text in ("140MB", "gpu:24GiB", "loss:0.1", "-1ms", "5 min"):
        with pytest.raises(InvalidBudget, match=r"such as 3\.2ms"):
            resolve_budget(text, timed(0.001), mix(), by_time=True)


def write_config(folder: Path, **changes: object) -> Path:
    (folder / "config.json").write_text(json.dumps({**SMALL, **changes}))
    return folder


def test_a_gpu_holds_what_its_share_leaves_beside_the_cache(tmp_path: Path) -> None:
    served = mix(write_config(tmp_path))
    one_token = 4 * 2 * 2 * 8 * 2  # layers, keys and values, heads, their size, bytes
    budget = resolve_budget("gpu:1MiB", problem(), served, context=1024, share=0.75)
    assert budget.limit == Limit(bytes_per_rank=(786_432 - 1024 * one_token,))
    assert budget.how.startswith("75% of 1.00 MiB, less 0.25 MiB for the keys and values of 1,024 tokens")
    assert served_tokens(served, SMALL) == 2048, "what the model was made for"
    assert served_tokens(mix(tmp_path, max_model_len=512), SMALL) == 512
    said = resolve_budget("gpu:2MiB", problem(), mix(tmp_path, gpu_memory_utilization=0.5, max_model_len=512))
    assert said.limit == Limit(bytes_per_rank=(2**20 - 512 * one_token,))
    with pytest.raises(NoRoom, match="the cache of 2,048 tokens takes"):
        resolve_budget("gpu:500kB", problem(), served)
    with pytest.raises(NoMixtureFits, match="on rank 0"):
        resolve_budget("gpu:250kB", problem(), served, context=256)


def test_ranks_share_heads_and_stages_share_layers(tmp_path: Path) -> None:
    served = mix(write_config(tmp_path))
    whole = 4 * 2 * 2 * 8 * 2
    for (ranks, stages), each in {(1, 1): whole, (2, 1): whole // 2, (4, 1): whole // 2, (1, 2): whole // 2}.items():
        assert cache_bytes(served, SMALL, tokens=100, ranks=ranks, stages=stages) == [each * 100] * (ranks * stages)
    assert sorted(cache_bytes(served, {**SMALL, "num_hidden_layers": 3}, tokens=1, stages=2)) == [64, 128]
    budget = resolve_budget("gpu:1MiB", problem(ranks=2), served, ranks=2, context=1024, share=1.0)
    assert budget.limit == Limit(bytes_per_rank=(2**20 - 1024 * whole // 2,) * 2)


@pytest.mark.parametrize("config, tokens", [
    ({"sliding_window": 10, "layer_types": ["sliding_attention", "full_attention"] * 2}, 2 * 10 + 2 * 100),
    ({"sliding_window": 10, "model_type": "mistral"}, 4 * 10), ({"sliding_window": None, "model_type": "mistral"}, 400),
    ({"sliding_window": 10, "use_sliding_window": False, "model_type": "qwen2"}, 400),
    ({"sliding_window": 10, "use_sliding_window": True, "max_window_layers": 3, "model_type": "qwen2"}, 3 * 100 + 10),
    ({"sliding_window": 10, "sliding_window_pattern": 4}, 3 * 10 + 100), ({"sliding_window": 10}, 400),
    ({"sliding_window": 10, "model_type": "gemma2"}, 2 * 10 + 2 * 100),
    ({"attention_chunk_size": 10, "layer_types": ["chunked_attention"] * 3 + ["full_attention"]}, 3 * 10 + 100),
    ({"layer_types": ["linear_attention"] * 3 + ["full_attention"]}, 100), ({"num_kv_shared_layers": 3}, 100),
    ({"text_config": {"sliding_window": 10, "model_type": "mistral"}}, 40),
])  # fmt: skip
def test_layers_with_a_window_keep_no_more_than_it(config: dict[str, object], tokens: int) -> None:
    assert cache_bytes(mix(), {**SMALL, **config}, tokens=100) == [tokens * 2 * 2 * 8 * 2]


def test_a_config_without_sizes_is_refused_rather_than_taken_for_none() -> None:
    with pytest.raises(CacheUnknown, match="has no num_hidden_layers"):
        cache_bytes(mix(), {"model_type": "gpt2", "n_layer": 12, "n_embd": 768}, tokens=1)


def test_a_latent_attention_keeps_one_vector_on_every_rank() -> None:
    config = {**SMALL, "kv_lora_rank": 512, "qk_rope_head_dim": 64}
    assert cache_bytes(mix(), config, tokens=10, ranks=2) == [4 * 576 * 2 * 10] * 2


@pytest.mark.parametrize("serve, dtype, bytes_each", [
    ({}, "bfloat16", 2), ({}, "float32", 2), ({"dtype": "float32"}, "bfloat16", 4), ({"kv_cache_dtype": "fp8"}, "bfloat16", 1),
    ({"kv-cache-dtype": "fp8_e5m2"}, "bfloat16", 1), ({"kv_cache_dtype": "auto", "dtype": "half"}, "float32", 2),
])  # fmt: skip
def test_elements_are_as_large_as_the_cache_s_type(serve: dict[str, object], dtype: str, bytes_each: int) -> None:
    assert cache_bytes(mix_with(serve), {**SMALL, "dtype": dtype}, tokens=1) == [4 * 2 * 2 * 8 * bytes_each]
