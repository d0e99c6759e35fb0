"""What the matrix tests need: the demo's checkpoints, made beforehand, and the engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo.checkpoints import DemoCheckpoints, current_checkpoints
from mixprec_runtime.demo.recipes import RECIPES


@pytest.fixture(scope="session")
def demo() -> DemoCheckpoints:
    """The five folders in ``MIXPREC_DEMO_CHECKPOINTS``, else in the default cache; skips when they are not there."""
    if named := os.environ.get("MIXPREC_DEMO_CHECKPOINTS"):
        folders = {recipe.name: Path(named) / recipe.folder for recipe in RECIPES}
        absent = [str(folder) for folder in folders.values() if not (folder / "config.json").is_file()]
        if absent:
            pytest.skip(f"the demo's checkpoints are not in MIXPREC_DEMO_CHECKPOINTS: {', '.join(absent)}")
        return DemoCheckpoints(**folders)
    found = current_checkpoints(cache_folder())
    if isinstance(found, DemoCheckpoints):
        return found
    pytest.skip(f"the demo's checkpoints {', '.join(found)} are not in {cache_folder()}; make them: mixprec demo")
