"""Where a source's text leads: a folder beside the mix file, or a model id in the Hub's own cache."""

from __future__ import annotations

__all__ = ["find_folder", "locate"]

import importlib.util
import os
import re
from pathlib import Path

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+)?")


def locate(text: str, *, beside: Path) -> Path | str:
    """The folder that ``text`` means, or why there is none.

    A path (relative to ``beside``) wins when it exists; ``organisation/name[@revision]`` is a Hub id otherwise,
    of which the config, the tokenizer and the headers of its shards are fetched, and no weights yet.
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
    if importlib.util.find_spec("huggingface_hub") is None:
        return f"{text!r} is no folder here, and as a Hub id it needs: pip install 'mixprec[hub]'"
    from mixprec_runtime.hub.snapshot import snapshot_for_plan
    from mixprec_runtime.hub.words import hub_fault

    repository, _, revision = text.partition("@")
    try:
        return snapshot_for_plan(repository, revision or None)
    except Exception as fault:  # noqa: BLE001  the library raises a dozen kinds; each is the user's to read
        return f"{text!r} is no folder here, and cannot be had from the Hub: {hub_fault(repository, fault)}"
