"""Where a source's text leads: a folder beside the mix file, or a model id in the Hub's own cache."""

from __future__ import annotations

__all__ = ["find_folder", "locate"]

import os
import re
from pathlib import Path

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+)?")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def locate(text: str, *, beside: Path) -> Path | str:
    """The folder that ``text`` means, or why there is none.

    A path (relative to ``beside``) wins when it exists; ``organisation/name[@revision]`` is a Hub id otherwise,
    fetched by huggingface_hub into its own cache (files matching FILES only: never a pickle).
    """
    found = find_folder(text, beside=beside)
    return _from_hub(text) if found is None else found


def find_folder(text: str, *, beside: Path) -> Path | str | None:
    """``locate`` without the Hub: None for a text that may be a Hub id."""
    path = beside / os.path.expanduser(text)  # noqa: PTH111  Path.expanduser raises for an unknown user
    if os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises for names longer than the system has
        return path.resolve()
    if os.path.exists(path):  # noqa: PTH110
        return f"{path} is a file; name the folder that holds config.json and *.safetensors"
    return None if HUB_ID.fullmatch(text) else f"there is no folder {path}"


def _from_hub(text: str) -> Path | str:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return f"{text!r} is no folder here, and as a Hub id it needs: pip install 'mixprec[hub]'"
    repository, _, revision = text.partition("@")
    try:
        found = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=FILES,
            local_files_only=os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"},
        )
    except Exception as fault:  # noqa: BLE001  the library raises a dozen kinds; each is the user's to read
        first = str(fault).strip().splitlines()[0] if str(fault).strip() else ""
        return f"{text!r} is no folder here, and the Hub has it not: {type(fault).__name__}: {first}"
    return Path(found)
