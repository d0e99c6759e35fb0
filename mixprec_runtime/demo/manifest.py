"""The manifest of a made checkpoint: a file in its folder that names recipe, tools and seconds.

It is written last, before the folder gets its name; a folder without a manifest, or with another recipe's digest, or
with a file of another size than the manifest says, is not a made checkpoint. Imports no torch.
"""

from __future__ import annotations

__all__ = ["MANIFEST_NAME", "is_current", "write_manifest"]

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixprec_doctor.version import __version__
from mixprec_runtime.demo.recipes import Recipe, recipe_digest

MANIFEST_NAME = "mixprec-checkpoint.json"


def write_manifest(folder: Path, recipe: Recipe, *, tools: Mapping[str, str | None], seconds: float) -> None:
    """Describe a finished folder; ``tools`` are versions by distribution name, ``seconds`` what making it took."""
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != MANIFEST_NAME}
    document = {
        "schema": "mixprec.demo-checkpoint/1",
        "mixprec": __version__,
        "digest": recipe_digest(recipe),
        "recipe": asdict(recipe),
        "tools": dict(tools),
        "seconds": round(seconds, 1),
        "files": files,
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def is_current(folder: Path, recipe: Recipe) -> bool:
    """Whether a folder holds the whole checkpoint that this recipe makes today."""
    try:
        document: Any = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        files: dict[str, int] = document["files"]
        same = document["digest"] == recipe_digest(recipe)
        return same and all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
