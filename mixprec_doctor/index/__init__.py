"""Releases on a package index, read without installing them."""

__all__ = ["Index", "IndexSettings", "Store", "find_releases", "open_release", "read_settings"]

from mixprec_doctor.index.releases import Index, find_releases, open_release
from mixprec_doctor.index.settings import IndexSettings, read_settings
from mixprec_doctor.index.store import Store
