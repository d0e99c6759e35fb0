"""Release and ReleaseFile: one version of a distribution on an index, and the file that pip would take."""

from __future__ import annotations

__all__ = ["Release", "ReleaseFile"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ReleaseFile:
    """A wheel or source archive as an index lists it; None for what the index does not say."""

    distribution: str  # normalized (PEP 503)
    version: str
    filename: str
    url: str  # never with credentials
    sha256: str | None = None
    requires_python: str | None = None
    yanked: bool = False
    size: int | None = None
    uploaded: str | None = None  # ISO 8601

    @property
    def is_wheel(self) -> bool:
        """Whether it can be read without building it."""
        return self.filename.endswith(".whl")

    @property
    def key(self) -> str:
        """What its contents are kept under: the hash, or the address where the index gives none."""
        return f"sha256:{self.sha256}" if self.sha256 else self.url

    def to_json(self) -> dict[str, object]:
        """An object with every field."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "filename": self.filename,
            "url": self.url,
            "sha256": self.sha256,
            "requires_python": self.requires_python,
            "yanked": self.yanked,
            "size": self.size,
            "uploaded": self.uploaded,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ReleaseFile:
        """The record that ``to_json`` wrote."""
        return cls(**raw)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a distribution, and the file of it that is read."""

    distribution: str
    version: str
    file: ReleaseFile
    fits: bool  # whether pip would install a wheel of this version on the interpreter that was asked for

    def to_json(self) -> dict[str, object]:
        """An object with every field."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "file": self.file.to_json(),
            "fits": self.fits,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Release:
        """The record that ``to_json`` wrote."""
        return cls(**{**raw, "file": ReleaseFile.from_json(raw["file"])})
