"""Snapshots for planning: config, tokenizer and index of a repository at one commit, and the headers of its shards."""

from __future__ import annotations

__all__ = ["is_offline", "snapshot_for_plan"]

import json
import os
from pathlib import Path

from mixprec_runtime.hub.kept import Origin, keep_origin
from mixprec_runtime.hub.ranges import fetch_shards

SIDE_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def is_offline() -> bool:
    """Whether the Hub's library was told to ask nobody."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def snapshot_for_plan(repository: str, revision: str | None) -> Path:
    """The folder of a repository's commit in the Hub's own cache, with all that a plan reads but no weights.

    The revision is resolved once: the folder is named after the commit, and all that is fetched later is of that
    commit. Offline it is what the cache knows. Raises what huggingface_hub raises, and HubAnswer.
    """
    from huggingface_hub import snapshot_download

    offline = is_offline()
    found = snapshot_download(
        repository,
        revision=revision,
        allow_patterns=SIDE_FILES,
        ignore_patterns=["*/*"],
        local_files_only=offline,
        library_name="mixprec",
    )
    folder = Path(found).resolve()
    origin = Origin(repository=repository, commit=folder.name)
    keep_origin(folder, origin)
    if not offline:
        fetch_shards(origin, folder, _shards(origin, folder))
    return folder


def _shards(origin: Origin, folder: Path) -> list[str]:
    """The names of the repository's shards: those of its index, else those that the Hub lists."""
    try:
        named = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        return sorted({name for name in named if isinstance(name, str) and "/" not in name})
    except (OSError, ValueError, LookupError, AttributeError):
        pass
    if (folder / SINGLE).is_file():
        return [SINGLE]
    from huggingface_hub import HfApi

    files = HfApi(library_name="mixprec").list_repo_files(origin.repository, revision=origin.commit)
    top = sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)
    return [SINGLE] if SINGLE in top else top
