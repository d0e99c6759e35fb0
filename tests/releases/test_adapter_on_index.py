"""Every release on the index has what the adapter touches: one that a coming release moves is named the day it appears."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mixprec_doctor.index import Index
from mixprec_doctor.records.release import Release
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.resolving.symbols import scoped_paths
from mixprec_doctor.source.sources import Sources
from tests.releases.adapter import ENGINE, broken_in

pytestmark = pytest.mark.network
RELEASES = "vllm>=0.10.1"


def faults(index: Index, release: Release) -> list[str]:
    with index.open(release) as wheel:
        tree = wheel.tree(ENGINE)
        assert tree is not None, release.file.filename
        tree.prefetch(scoped_paths(tree, find_layout(ENGINE)))
        return [f"{release.version}: {each}" for each in broken_in(Sources(wheel.tree))]


def test_every_release_has_what_the_adapter_touches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path))
    index = Index()
    releases = index.find(RELEASES)
    assert len(releases) >= 35
    with ThreadPoolExecutor(4) as pool:
        found = [fault for each in pool.map(lambda release: faults(index, release), releases) for fault in each]
    assert not found, "\n".join(found)
