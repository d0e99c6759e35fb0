"""Digests of a mixture's tensors, kept in its run folder: what was loaded first is what is loaded later.

Size and time of change tell most changes of a file. One that was written in place with its time set back, or that a
disk has spoilt, only its bytes tell.
"""

from __future__ import annotations

__all__ = ["DIGESTS", "digests_wanted", "read_digests", "write_digests"]

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mixprec_doctor.records.document import document

DIGESTS = "MIXPREC_DIGESTS"
"""The variable that asks a loading engine to take digests."""
FILE = "mixprec-digests.json"


def digests_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether digests are to be taken."""
    return environment.get(DIGESTS, "").lower() in {"1", "on", "yes", "true"}


def read_digests(run_folder: Path) -> dict[str, str] | None:
    """The SHA-256 of each tensor by name, as an earlier load took them; None when there was none."""
    try:
        tensors = json.loads((run_folder / FILE).read_text(encoding="utf-8"))["tensors"]
        return {str(name): str(digest) for name, digest in tensors.items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None


def write_digests(run_folder: Path, digests: Mapping[str, str]) -> None:
    """Keep the digests of a load. Raises OSError."""
    staging = run_folder / f".{FILE}.{os.getpid()}"
    staging.write_text(json.dumps(document("digests", {"tensors": dict(digests)}), indent=1), encoding="utf-8")
    staging.replace(run_folder / FILE)
