"""Recipes: what each of the demo's checkpoints is made from and how, as data. Imports no torch.

A recipe's digest covers its settings, the pins of the quantizer's environment and the source of the modules
that make it, so a checkpoint made by other code or other pins is never taken for a current one.
"""

from __future__ import annotations

__all__ = ["PINS", "RECIPES", "Int4Settings", "Recipe", "find_recipe", "recipe_digest"]

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from mixprec_runtime.demo.errors import UnknownRecipe

_RUNTIME = Path(__file__).resolve().parent.parent
PINS = _RUNTIME / "demo" / "quantizer-requirements.txt"
_BASE_FOLDER = "SmolLM2-135M-Instruct"


@dataclass(frozen=True, kw_only=True)
class Int4Settings:
    """How a 4-bit checkpoint is packed."""

    group_size: int = 64  # 576 inputs are nine groups of 64; 128 does not divide them
    sequences: int = 8  # of the calibration text
    length: int = 512  # tokens each
    damping: float = 0.01
    shrink_steps: int = 6  # ranges tried for each group, besides the full one
    shrink_floor: float = 0.7  # the smallest of them, as a share of the full range


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One checkpoint: its short name, folder, the tool that writes it, and the settings that tool is given."""

    name: str
    folder: str
    tool: str
    settings: Int4Settings | str | None = None  # a compressed-tensors scheme, where it is text
    sources: tuple[str, ...] = ()  # modules of mixprec_runtime that decide what is written


_PACKING = (
    "demo/makers.py",
    "packing/calibration.py",
    "packing/compensation.py",
    "packing/folder.py",
    "packing/grids.py",
    "packing/nibbles.py",
)
RECIPES: tuple[Recipe, ...] = (
    Recipe(name="base", folder=_BASE_FOLDER, tool="transformers", sources=("demo/base_model.py",)),
    Recipe(
        name="fp8",
        folder=f"{_BASE_FOLDER}-FP8-Dynamic",
        tool="llm-compressor",
        settings="FP8_DYNAMIC",
        sources=("demo/makers.py",),
    ),
    Recipe(
        name="int8",
        folder=f"{_BASE_FOLDER}-W8A8-INT8",
        tool="llm-compressor",
        settings="W8A8",
        sources=("demo/makers.py",),
    ),
    Recipe(
        name="awq",
        folder=f"{_BASE_FOLDER}-AWQ-Int4",
        tool="mixprec",
        settings=Int4Settings(),
        sources=(*_PACKING, "packing/awq.py"),
    ),
    Recipe(
        name="gptq",
        folder=f"{_BASE_FOLDER}-GPTQ-Int4",
        tool="mixprec",
        settings=Int4Settings(),
        sources=(*_PACKING, "packing/gptq.py"),
    ),
)
"""In the order in which they are made: the base first, the quick ones before the slow ones."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises UnknownRecipe."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise UnknownRecipe(name, tuple(recipe.name for recipe in RECIPES))


@cache
def recipe_digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits over settings, pins, sources, and the base's digest for what is made from it."""
    base = find_recipe("base")
    facts = {
        "recipe": asdict(recipe),
        "pins": _sha256(PINS),
        "sources": {name: _sha256(_RUNTIME / name) for name in recipe.sources},
        "base": None if recipe == base else recipe_digest(base),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
