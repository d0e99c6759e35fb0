"""KV cache: bytes that the keys and values of so many tokens take on each rank, as a config tells."""

from __future__ import annotations

__all__ = ["CacheUnknown", "cache_bytes", "served_tokens"]

from collections.abc import Mapping

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.planning.ranks import Split
from mixprec_runtime.records.mix import Mix

FULL = frozenset({"full_attention", "attention", "global", "hybrid"})
WINDOWED = frozenset({"sliding_attention", "chunked_attention", "sliding", "local"})
WINDOWED_MODELS = frozenset({"mistral", "mixtral", "phi3", "starcoder2"})
WINDOWS = ("sliding_window", "sliding_window_size", "attention_chunk_size")
LENGTHS = ("max_model_len", "max-model-len", "context_length", "context-length")
TRAINED = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length")


class CacheUnknown(MixprecError):
    """A config that does not say how large keys and values are."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, lacks: str) -> None:
        super().__init__(lacks)
        self.lacks = lacks

    def __str__(self) -> str:
        return (
            f"wanted the size of the key-value cache, and the base model's config.json has no {self.lacks}\n"
            "  try: a budget in bytes, such as 20GB"
        )


def served_tokens(mix: Mix, config: Mapping[str, object]) -> int | None:
    """The tokens of the longest sequence that the mix is served with; None where nothing says so."""
    keys = language_config(config)
    said = [mix.serve.get(name) for name in LENGTHS] + [keys.get(name) for name in TRAINED]
    return next((length for each in said if (length := _count(each))), None)


def cache_bytes(mix: Mix, config: Mapping[str, object], *, tokens: int, ranks: int = 1, stages: int = 1) -> list[int]:
    """Bytes on each rank, those of the first stage first, for one sequence of so many tokens (or as many in several).

    A layer with a window keeps no more tokens than that; layers without keys and values keep none. A latent attention
    (``kv_lora_rank``) keeps one vector for all heads, on every rank. Raises CacheUnknown.
    """
    keys = language_config(config)
    for needed in ("num_hidden_layers", "hidden_size"):
        if not _count(keys.get(needed)):
            raise CacheUnknown(needed)
    split = Split.of(config, ranks=ranks, stages=stages)
    each = _token_bytes(keys, split) * _element_bits(mix, keys) // 8
    held = [tokens if most is None else min(tokens, most) for most in _most_tokens(keys)]
    by_stage = [0] * stages
    for number, kept in enumerate(held):
        (stage,) = split.stages_of(f"model.layers.{number}.self_attn")
        by_stage[stage] += kept * each
    return [held for held in by_stage for _ in range(ranks)]


def _token_bytes(keys: Mapping[str, object], split: Split) -> int:
    """Numbers that one rank keeps of one token in one layer."""
    if rank := _count(keys.get("kv_lora_rank")):
        return rank + (_count(keys.get("qk_rope_head_dim")) or 0)
    heads = split.key_value_heads or 1
    hidden = _count(keys.get("hidden_size")) or 0
    size = _count(keys.get("head_dim")) or hidden // (split.heads or 1)
    return 2 * -(-heads // min(heads, split.ranks)) * size


def _element_bits(mix: Mix, keys: Mapping[str, object]) -> int:
    said = mix.cache_dtype
    if said == "auto":
        said = str(mix.serve.get("dtype", "auto"))
    if said == "auto":
        said = str(keys.get("dtype") or keys.get("torch_dtype") or "bfloat16")
        return 16 if "float32" in said else _bits(said)  # engines serve what was saved in 32 bits in 16
    return _bits(said)


def _bits(dtype: str) -> int:
    if dtype.startswith(("fp8", "int8", "float8")):
        return 8
    return 4 if dtype.startswith(("nvfp4", "fp4", "int4")) else 32 if dtype in ("float32", "float", "fp32") else 16


def _most_tokens(keys: Mapping[str, object]) -> list[int | None]:
    """The most tokens that each layer keeps: None for all of them, 0 for a layer without keys and values."""
    layers = _count(keys.get("num_hidden_layers")) or 0
    window = next((size for name in WINDOWS if (size := _count(keys.get(name)))), None)
    if keys.get("use_sliding_window") is False:
        window = None
    shared = min(layers, _count(keys.get("num_kv_shared_layers")) or 0)
    kinds = _kinds(keys, layers)
    most: list[int | None] = []
    for number in range(layers):
        kind = kinds[number]
        most.append(0 if kind is None or number >= layers - shared else window if kind in WINDOWED else None)
    return most


def _kinds(keys: Mapping[str, object], layers: int) -> list[str | None]:
    """What attention each layer has; None for another mixer, which keeps a state of one size.

    Where a config does not say which layers have its window, and the model is none that is known, all are full: too
    much rather than too little.
    """
    for name in ("layer_types", "layers_block_type"):
        listed = keys.get(name)
        if isinstance(listed, list) and len(listed) == layers:
            return [kind if isinstance(kind, str) and kind in FULL | WINDOWED else None for kind in listed]
    numbers, model = range(layers), keys.get("model_type")
    if pattern := _count(keys.get("sliding_window_pattern")):
        full = {number for number in numbers if (number + 1) % pattern == 0}
    elif model == "gemma2":
        full = {number for number in numbers if number % 2}
    elif keys.get("use_sliding_window") is True:
        full = set(range(_count(keys.get("max_window_layers")) or 0))
    else:
        full = set() if model in WINDOWED_MODELS else set(numbers)
    return ["full_attention" if number in full else "sliding_attention" for number in numbers]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
