"""The cache folder, under the name that the runtime knows it by."""

from __future__ import annotations

__all__ = ["cache_folder"]

from mixprec_doctor.cache import cache_folder
