"""The head that every JSON document of mixprec starts with."""

from __future__ import annotations

__all__ = ["document"]

from collections.abc import Mapping

from mixprec_doctor.version import __version__


def document(kind: str, body: Mapping[str, object], *, revision: int = 1) -> dict[str, object]:
    """``{"schema": "mixprec.<kind>/<revision>", "mixprec": "<version>", **body}``."""
    return {"schema": f"mixprec.{kind}/{revision}", "mixprec": __version__, **body}
