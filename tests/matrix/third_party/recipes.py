"""Checkpoints of other people's tools, as data: which tool makes each, and what it is told.

Every one is made from the demo's base model. A recipe's digest covers its settings, the script that makes it and the pins of the tools.
"""

from __future__ import annotations

__all__ = ["RECIPES", "Recipe", "folder_of", "is_current", "recipe_digest"]

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mixprec_runtime.demo.recipes import PINS, find_recipe
from mixprec_runtime.demo.recipes import recipe_digest as demo_digest

MARKER = "made-from"
MAKER = Path(__file__).with_name("make.py")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One checkpoint. ``settings`` are what the tool's own call is given."""

    name: str
    tool: str
    settings: dict[str, object] = field(default_factory=dict)
    smooth: str | None = None  # the modifier that runs first and moves scales between layers


def _int4(*, symmetric: bool, actorder: str | None = None) -> dict[str, object]:
    # 576 inputs are nine groups of 64; the presets' 128 does not divide them.
    weights: dict[str, object] = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 64}
    weights |= {"symmetric": symmetric, "actorder": actorder}
    return {"config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}


RECIPES: tuple[Recipe, ...] = (
    Recipe(name="fp8-block", tool="llm-compressor", settings={"scheme": "FP8_BLOCK"}),
    Recipe(name="fp8-static", tool="llm-compressor", settings={"scheme": "FP8"}),
    Recipe(name="w8a8-smoothed", tool="llm-compressor", settings={"scheme": "W8A8"}, smooth="SmoothQuant"),
    Recipe(name="int4-act-order", tool="llm-compressor-gptq", settings=_int4(symmetric=True, actorder="weight")),
    Recipe(name="int4-asymmetric", tool="llm-compressor", settings=_int4(symmetric=False)),
    Recipe(name="int4-awq", tool="llm-compressor", settings=_int4(symmetric=False), smooth="AWQ"),
    Recipe(name="autoround-gptq", tool="auto-round", settings={"format": "auto_gptq", "sym": True}),
    Recipe(name="autoround-awq", tool="auto-round", settings={"format": "auto_awq", "sym": False}),
)


def folder_of(cache: Path, recipe: Recipe) -> Path:
    """Where the checkpoint lies, once it is made."""
    return cache / "third-party" / recipe.name


def is_current(cache: Path, recipe: Recipe) -> bool:
    """Whether the folder holds what today's recipe makes; the marker is written last."""
    marker = folder_of(cache, recipe) / MARKER
    return marker.is_file() and marker.read_text(encoding="utf-8") == recipe_digest(recipe)


def recipe_digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits over settings, maker, pins and the base."""
    facts = json.dumps([asdict(recipe), demo_digest(find_recipe("base"))], sort_keys=True).encode()
    return hashlib.sha256(facts + MAKER.read_bytes() + PINS.read_bytes()).hexdigest()[:16]
