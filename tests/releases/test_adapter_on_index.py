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
from tests.releases.adapter import SGLANG, VLLM, Touches, broken_in

pytestmark = pytest.mark.network
RELEASES = ((VLLM, "vllm>=0.10.1", 35), (SGLANG, "sglang>=0.4.7", 55))


def faults(index: Index, release: Release, touches: Touches) -> list[str]:
    with index.open(release) as wheel:
        tree = wheel.tree(touches.engine)
        assert tree is not None, release.file.filename
        tree.prefetch(scoped_paths(tree, find_layout(touches.engine)))
        return [f"{release.version}: {each}" for each in broken_in(Sources(wheel.tree), touches)]


@pytest.mark.parametrize(("touches", "wanted", "least"), RELEASES, ids=["vllm", "sglang"])
def test_every_release_has_what_the_adapter_touches(
    touches: Touches, wanted: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path))
    index = Index()
    releases = index.find(wanted)
    assert len(releases) >= least
    with ThreadPoolExecutor(4) as pool:
        each_s = pool.map(lambda release: faults(index, release, touches), releases)
        found = [fault for each in each_s for fault in each]
    assert not found, "\n".join(found)
