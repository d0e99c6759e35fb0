"""What a plan depends on, where the engine's arguments say so in place of the mix file: ranks, stages, the cache."""

from __future__ import annotations

__all__ = ["shared_as_asked"]

from collections.abc import Callable, Sequence
from dataclasses import replace

from mixprec_runtime.records.mix import Mix

FLAGS = {
    "tensor_parallel_size": ("--tensor-parallel-size", "-tp", "--tp-size", "--tp"),
    "pipeline_parallel_size": ("--pipeline-parallel-size", "-pp", "--pp-size", "--pp"),
}
CACHE = ("--kv-cache-dtype",)
SHORTEST = len("--tensor-parallel")  # engines take the beginning of an option's name for the whole


def shared_as_asked(mix: Mix, arguments: Sequence[str]) -> Mix:
    """The mix with ranks, stages and the cache as the engine will take them: its arguments come last, and win."""
    asked: dict[str, object] = {
        name: int(found) for name, flags in FLAGS.items() if (found := _last(arguments, flags, _is_count)) is not None
    }
    if (cache := _last(arguments, CACHE, str.isidentifier)) is not None:
        asked["kv_cache_dtype"] = cache
    kept = {key: value for key, value in mix.serve.items() if key.replace("-", "_") not in asked}
    return replace(mix, serve={**kept, **asked}) if asked else mix


def _is_count(text: str) -> bool:
    return text.isdecimal() and int(text) > 0


def _last(words: Sequence[str], flags: tuple[str, ...], fits: Callable[[str], bool]) -> str | None:
    """The last value that is given to one of the flags, in the spellings that argparse takes."""
    found = None
    for word, following in zip(words, [*words, ""][1:], strict=True):
        name, equals, value = word.partition("=")
        text = value if equals else following
        if _means(name, flags) and fits(text):
            found = text
    return found


def _means(name: str, flags: tuple[str, ...]) -> bool:
    spelled = f"--{name[2:].replace('_', '-')}" if name.startswith("--") else name
    return spelled in flags or (len(spelled) >= SHORTEST and flags[0].startswith(spelled))
