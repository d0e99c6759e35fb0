"""Tiny checkpoints and a cache folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.builders import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """A folder to build checkpoints and mix files in."""
    return Workshop(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder that mixprec would use, were it to write anything."""
    folder = tmp_path / "the-cache"
    monkeypatch.setenv("MIXPREC_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever fetched, even where huggingface_hub is installed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
