"""Mixes of tiny checkpoints, each with something that makes bytes or constraints other than a plain sum."""

from __future__ import annotations

import random

import pytest

from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.records.fit import Problem
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import HIDDEN, LAYOUTS, Tensor, Workshop, model_tensors
from tests.runtime.planning.test_experts import with_experts
from tests.runtime.planning.test_folding import checkpoint as folded_checkpoint
from tests.runtime.planning.test_norms import NORMS, NUMBERS, f16, norms, smoothed

FORMATS = ("gptq", "awq", "int8", "fp8", "packed")


def read(shop: Workshop, *sources: str, more: str = "", model: str = "base") -> Mix:
    listed = ", ".join(f"{name}: {{path: {name}}}" for name in sources)
    return read_mix(shop.mix(f"model: {model}\nsources: {{{listed}}}\n{more}"))


def random_choice(problem: Problem, seed: int) -> dict[str, str] | None:
    """A choice without anything forbidden, if one is found."""
    draw = random.Random(seed)  # noqa: S311
    for _ in range(200):
        favourite = draw.choice([option.source for unit in problem.units for option in unit.options])
        chosen = {}
        for unit in problem.units:
            sources = [option.source for option in unit.options]
            chosen[unit.name] = favourite if favourite in sources and draw.random() < 0.7 else draw.choice(sources)
        if not any(all(chosen[unit] == source for unit, source in each.choices) for each in problem.forbidden):
            return chosen
    return None


def zoo_mixes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mix]:
    """The mixes by name."""
    makers = (_plain, _tied, _smoothed, _experts, _folded, _ruled, _tower, _scaled, _parallel)
    names = [make.__name__.removeprefix("_") for make in makers]
    return {name: make(Workshop(tmp_path_factory.mktemp(name))) for name, make in zip(names, makers, strict=True)}


def _plain(shop: Workshop) -> Mix:
    shop.checkpoints("base", *FORMATS)
    return read(shop, *FORMATS)


def _tied(shop: Workshop) -> Mix:
    """The output head is the embedding; one source has saved it all the same."""
    for name in ("base", *FORMATS):
        tensors = model_tensors(LAYOUTS[name][0], head=name == "gptq")
        shop.checkpoint(name, tensors, tie_word_embeddings=True)
    return read(shop, *FORMATS)


def _smoothed(shop: Workshop) -> Mix:
    """Two sources with norms of their own, in another type, one of which has them before the attention only."""
    base = norms(Tensor("F32", (HIDDEN,), b"\x00\x00\x80\x3f" * HIDDEN), *NORMS)
    other = norms(f16(NUMBERS), NORMS[0])
    shop.checkpoint("base", {**model_tensors(), **base})
    shop.checkpoint("gptq", {**model_tensors(LAYOUTS["gptq"][0]), **base})
    shop.checkpoint("awq", {**model_tensors(LAYOUTS["awq"][0]), **base, **smoothed(*NORMS)})
    shop.checkpoint("fp8", {**model_tensors(LAYOUTS["fp8"][0]), **base, **other})
    return read(shop, "gptq", "awq", "fp8")


def _experts(shop: Workshop) -> Mix:
    """Experts stacked in the base, with a router and a shared expert; a norm that all of these read."""
    for name in ("base", "gptq", "fp8", "awq"):
        tensors = with_experts(LAYOUTS[name][0], stacked=name == "base")
        if name == "awq":
            tensors |= smoothed(*NORMS)
        shop.checkpoint(name, tensors, num_experts=3)
    return read(shop, "gptq", "fp8", "awq")


def _folded(shop: Workshop) -> Mix:
    folded_checkpoint(shop, "base")
    folded_checkpoint(shop, "smooth", smoothing=2.0, folded=0.5)
    folded_checkpoint(shop, "even", smoothing=4.0)
    shop.checkpoint("int8", {**model_tensors(LAYOUTS["int8"][0])})
    return read(shop, "smooth", "even", "int8")


def _ruled(shop: Workshop) -> Mix:
    """Rules and ``ignore`` that name parts of it, one of them a part of a fused unit in another format's scheme."""
    shop.checkpoints("base", "gptq", "fp8", "int8")
    more = "default: int8\nrules:\n- {targets: ['re:.*layers.0.*o_proj$'], source: gptq}\n"
    return read(shop, "gptq", "fp8", "int8", more=f"{more}ignore: ['re:.*layers.1.mlp.down_proj']\n")


def _tower(shop: Workshop) -> Mix:
    """A vision tower in the base, which one source has quantized, one has plain, and one lacks."""
    for name in ("base", "gptq", "fp8", "int8"):
        tensors = model_tensors(LAYOUTS[name][0])
        for at in range(2):
            layout = LAYOUTS["base" if name == "fp8" else name][0]
            module = f"model.visual.blocks.{at}.mlp.down_proj"
            if name != "int8":
                tensors |= {f"{module}.{suffix}": tensor for suffix, tensor in layout(HIDDEN, 2 * HIDDEN).items()}
        shop.checkpoint(name, tensors, vision_config={})
    return read(shop, "gptq", "fp8", "int8")


def _scaled(shop: Workshop) -> Mix:
    """A cache in FP8, for which one source has scales, and another a scale for each head, which engines refuse."""
    for name, shape in (("base", None), ("gptq", None), ("fp8", ()), ("int8", (2,))):
        tensors = model_tensors(LAYOUTS[name][0])
        for at in range(2) if shape is not None else ():
            for part in "kv":
                tensors[f"model.layers.{at}.self_attn.{part}_scale"] = Tensor("F32", shape or ())
        shop.checkpoint(name, tensors)
    return read(shop, "gptq", "fp8", "int8", more="serve: {kv_cache_dtype: fp8}\n")


def _parallel(shop: Workshop) -> Mix:
    """Attention and feed-forward part read one norm; of four sources two need the same one, in two types."""
    two = Tensor("F32", (HIDDEN,), b"\x00\x00\x00\x40" * HIDDEN)
    of_sources = {"base": None, "gptq": f16([3.0] * HIDDEN), "awq": f16([2.0] * HIDDEN), "int8": two, "fp8": None}
    for name, tensor in of_sources.items():
        tensors = {key: each for key, each in model_tensors(LAYOUTS[name][0]).items() if NORMS[1] not in key}
        shop.checkpoint(name, {**tensors, **norms(tensor or f16([1.0] * HIDDEN), NORMS[0])})
    return read(shop, "gptq", "awq", "int8", "fp8")
