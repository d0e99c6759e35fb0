"""``python -m tests.matrix.third_party``: make what is missing below the cache folder, in the quantizer's environment.

Run it where mixprec is installed; the demo's base model must be there (``mixprec demo --checkpoints-only``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo.manifest import is_current as is_made
from mixprec_runtime.demo.quantizer import quantizer_interpreter
from mixprec_runtime.demo.recipes import find_recipe
from tests.matrix.third_party.recipes import RECIPES, is_current

ROOT = Path(__file__).parents[3]
QUIET = {
    "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip


def main() -> int:
    """The maker's exit code; 0 where nothing is missing."""
    cache = cache_folder().absolute()
    recipe = find_recipe("base")
    base = cache / "demo" / recipe.folder
    if not is_made(base, recipe):
        sys.stderr.write(f"the demo's base model is not in {cache}: mixprec demo --checkpoints-only\n")
        return 1
    missing = [recipe.name for recipe in RECIPES if not is_current(cache, recipe)]
    if not missing:
        return 0
    python = quantizer_interpreter(cache, print)
    command = [str(python), "-u", "-m", "tests.matrix.third_party.make", str(base), str(cache), *missing]
    return subprocess.run(
        command, env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
