"""Where a source's text leads: a folder beside the mix file, or a model id in the Hub's own cache."""

from __future__ import annotations

__all__ = ["locate"]

import os
import re
from pathlib import Path

HUB_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+)?$")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def locate(text: str, *, beside: Path) -> Path | str:
    """The folder that ``text`` means, or why there is none.

    A path (relative to ``beside``) wins when it exists; ``organisation/name[@revision]`` is a Hub id otherwise,
    fetched by huggingface_hub into its own cache (files matching FILES only: never a pickle).
    """
    path = Path(text).expanduser()
    path = path if path.is_absolute() else beside / path
    if path.is_dir():
        return path.resolve()
    if path.exists():
        return f"{path} is a file; name the folder that holds config.json and *.safetensors"
    if not HUB_ID.match(text) or text.startswith("."):
        return f"there is no folder {path}"
    return _from_hub(text)


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
