"""An index on this machine, a cache folder of the test's own, and no settings but the test's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mixprec_doctor.index import Index, IndexSettings, Store
from tests.doctor.index.servers import IndexServer


@pytest.fixture
def server() -> Iterator[IndexServer]:
    found = IndexServer()
    found.start()
    yield found
    found.close_up()


@pytest.fixture(autouse=True)
def nothing_of_this_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))
    if request.node.get_closest_marker("network"):
        return
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture
def index_of(server: IndexServer, tmp_path: Path) -> Iterator[Callable[..., Index]]:
    """Indexes that share the server and the cache, each as a new process would have it."""
    opened: list[Index] = []

    def make(*, offline: bool = False, **settings: object) -> Index:
        given = {"index_url": f"{server.url}/simple", "retries": 0, "timeout": 5.0, **settings}
        index = Index(
            settings=IndexSettings(**given),  # type: ignore[arg-type]
            store=Store(tmp_path / "cache"),
            offline=offline,
            pause=0.0,
        )
        opened.append(index)
        return index

    yield make
    for index in opened:
        index.close()
