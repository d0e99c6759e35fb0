"""Where mixprec keeps what it makes: what it read of releases, run folders, launch logs, the demo's checkpoints."""

from __future__ import annotations

__all__ = ["cache_folder"]

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``$MIXPREC_CACHE``, else ``mixprec`` in the user's cache folder (XDG base directory specification)."""
    if named := environment.get("MIXPREC_CACHE"):
        return Path(named).expanduser().absolute()
    root = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser().absolute() / "mixprec"
