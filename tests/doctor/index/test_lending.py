"""Which releases of an index have some names: found by reading their wheels, a few bytes of each."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from mixprec_doctor.index import Index
from mixprec_doctor.records.lenders import Lenders
from mixprec_doctor.records.release import Release
from mixprec_doctor.resolving import lending
from mixprec_doctor.resolving.borrowing import Borrowed
from mixprec_doctor.resolving.lending import Avoid, find_lenders
from tests.doctor.index.servers import IndexServer, make_wheel

Indexes = Callable[..., Index]
QUANT = "vllm/quant.py"
OPS = "vllm/_ops.py"

# A module that comes with 0.2 and a name in it that goes with 0.5; another name that only comes with 0.3.
RELEASES: dict[str, dict[str, str]] = {
    "0.1": {OPS: "def gemm(): ...\n"},
    "0.2": {OPS: "def gemm(): ...\n", QUANT: "class AQLM: ...\n"},
    "0.3": {
        OPS: "def gemm(): ...\ndef scaled(): ...\n",
        QUANT: "from vllm._inner import AQLM\n",
        "vllm/_inner.py": "class AQLM: ...\n",
    },
    "0.4": {
        OPS: "from vllm._more import *\n",
        "vllm/_more.py": "def gemm(): ...\ndef scaled(): ...\n",
        QUANT: "class AQLM: ...\n",
    },
    "0.5": {OPS: "def gemm(): ...\ndef scaled(): ...\n", QUANT: "class Other: ...\n"},
}


def wheels(
    releases: Mapping[str, Mapping[str, str]] = RELEASES, requires: Mapping[str, Sequence[str]] | None = None
) -> dict[str, bytes]:
    """The wheels of some releases, with what their metadata requires."""
    return {
        f"vllm-{version}-py3-none-any.whl": make_wheel(
            {"vllm/__init__.py": "", **files},
            name="vllm",
            version=version,
            metadata="".join(f"Requires-Dist: {each}\n" for each in (requires or {}).get(version, ())),
        )
        for version, files in releases.items()
    }


def borrowed(*wanted: str) -> list[Borrowed]:
    """``module:name``, or a module alone."""
    split = (each.partition(":") for each in wanted)
    return [Borrowed(module=module, name=name or None, asker="sglang.a", line=1) for module, _, name in split]


def lenders(
    index: Index,
    *wanted: str,
    installed: str | None = "0.5",
    beside: Sequence[tuple[str, str]] = (),
    avoid: Avoid | None = None,
    told: Callable[[int, int, Release], None] | None = None,
    patience: float = 20.0,
) -> Lenders | None:
    return find_lenders(
        borrowed(*wanted), distribution="vllm", installed=installed, beside=beside, index=index, avoid=avoid,
        told=told, patience=patience,
    )  # fmt: skip


@pytest.fixture
def filled(server: IndexServer) -> IndexServer:
    server.add_project("vllm", wheels())
    return server


@pytest.mark.parametrize(
    ("wanted", "having"),
    [
        (("vllm._ops:gemm",), ("0.1", "0.2", "0.3", "0.4", "0.5")),
        (("vllm.quant:AQLM",), ("0.2", "0.3", "0.4")),
        (("vllm.quant",), ("0.2", "0.3", "0.4", "0.5")),
        (("vllm.quant:AQLM", "vllm._ops:scaled"), ("0.3", "0.4")),
        (("vllm.quant:AQLM", "vllm.quant:Other"), ()),
        (("vllm.never",), ()),
        (("other:x",), ()),
    ],
)
def test_a_release_lends_when_it_has_every_name(
    filled: IndexServer, index_of: Indexes, wanted: tuple[str, ...], having: tuple[str, ...]
) -> None:
    found = lenders(index_of(), *wanted)
    assert found is not None
    assert found.read == ("0.1", "0.2", "0.3", "0.4", "0.5")
    assert found.having == having
    assert found.is_whole


def test_a_release_whose_metadata_excludes_what_is_installed_has_the_names_and_does_not_fit(
    server: IndexServer, index_of: Indexes
) -> None:
    requires = {"0.2": ["transformers>=4.50"], "0.3": ["Transformers<4.50", "other"], "0.4": ["transformers>=5"]}
    server.add_project("vllm", wheels(requires=requires))
    found = lenders(index_of(), "vllm.quant:AQLM", beside=[("transformers", "4.52.3")])
    assert found is not None
    assert (found.having, found.fitting, found.best) == (("0.2", "0.3", "0.4"), ("0.2",), "0.2")
    assert str(found) == "vllm has all of them in 0.2 to 0.4; with the installed transformers 4.52.3: 0.2"


def test_a_release_that_registers_what_transformers_has_itself_does_not_lend(
    server: IndexServer, index_of: Indexes
) -> None:
    taken = "class Ovis: ...\nAutoConfig.register('aimv2', Ovis)\n"
    fine = "class Ovis: ...\nAutoConfig.register('aimv2', Ovis, exist_ok=True)\n"
    server.add_project("vllm", wheels({
        "0.1": {"vllm/configs/__init__.py": "", "vllm/configs/ovis.py": taken},
        "0.2": {"vllm/configs/__init__.py": "", "vllm/configs/ovis.py": fine},
        "0.3": {"vllm/configs/__init__.py": "", "vllm/configs/ovis.py": "class Ovis: ...\n", "vllm/configs/two.py": taken},
        "0.4": {"vllm/configs/__init__.py": "", "vllm/configs/ovis.py": "class Ovis: ...\n", "vllm/else.py": taken},
    }))  # fmt: skip
    avoid = Avoid(package="vllm.configs", taken=frozenset({"aimv2"}))
    without, found = (
        lenders(index_of(), "vllm.configs.ovis:Ovis"),
        lenders(index_of(), "vllm.configs.ovis:Ovis", avoid=avoid),
    )
    assert without is not None
    assert found is not None
    assert (without.having, found.having) == (("0.1", "0.2", "0.3", "0.4"), ("0.2", "0.4"))


def test_what_was_found_out_is_kept_for_the_same_question_only(filled: IndexServer, index_of: Indexes) -> None:
    first = lenders(index_of(), "vllm.quant:AQLM")
    filled.asked.clear()
    assert lenders(index_of(), "vllm.quant:AQLM") == first
    assert [each.path for each in filled.asked if each.path.endswith(".whl")] == []
    beside = lenders(index_of(), "vllm.quant:AQLM", beside=[("transformers", "4")])
    assert beside is not None
    assert beside.beside == "transformers 4"
    other = lenders(index_of(), "vllm._ops:scaled")
    assert other is not None
    assert other.having == ("0.3", "0.4", "0.5")


def test_answers_of_other_code_are_not_taken(
    filled: IndexServer, index_of: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenders(index_of(), "vllm.quant:AQLM")
    monkeypatch.setattr("mixprec_doctor.resolving.lending.reading_code", lambda: "other code")
    monkeypatch.setattr("mixprec_doctor.resolving.lending._has_all", lambda *_: False)
    found = lenders(index_of(), "vllm.quant:AQLM")
    assert found is not None
    assert found.having == ()


def test_only_a_part_of_a_wheel_is_fetched(server: IndexServer, index_of: Indexes) -> None:
    import random

    ballast = random.Random(1).randbytes(3_000_000)  # noqa: S311  only to be long
    big = make_wheel(
        {"vllm/__init__.py": "", QUANT: "class AQLM: ...\n", "vllm/_C.abi3.so": ballast}, name="vllm", version="0.1"
    )
    server.add_project("vllm", {"vllm-0.1-py3-none-any.whl": big})
    index = index_of()
    found = lenders(index, "vllm.quant:AQLM")
    assert found is not None
    assert found.having == ("0.1",)
    assert index.connection.received < len(big) / 10


def test_a_broken_wheel_is_not_among_those_that_were_read(server: IndexServer, index_of: Indexes) -> None:
    server.add_project("vllm", {**wheels(), "vllm-0.6-py3-none-any.whl": b"no zip at all"})
    found = lenders(index_of(), "vllm.quant:AQLM")
    assert found is not None
    assert "0.6" not in found.read
    assert found.having == ("0.2", "0.3", "0.4")


def test_an_index_that_is_gone_or_has_no_such_project_gives_none(server: IndexServer, index_of: Indexes) -> None:
    assert lenders(index_of(), "vllm.quant:AQLM") is None
    assert lenders(index_of(index_url="http://127.0.0.1:9/simple", timeout=0.5), "vllm.quant:AQLM") is None
    assert lenders(index_of(offline=True), "vllm.quant:AQLM") is None


def test_a_slow_server_is_left_when_time_is_up_and_the_nearest_releases_were_read(
    filled: IndexServer, index_of: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, answer = threading.Event(), filled.answer

    def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
        if "vllm-0.1" in handler.path or "vllm-0.2" in handler.path:
            gate.wait(60)
            handler.close_connection = True  # so that nothing of it runs beside the tests that follow
            return
        answer(handler)

    monkeypatch.setattr(filled, "answer", slowly)
    started = time.monotonic()
    found = lenders(index_of(), "vllm._ops:gemm", patience=4.0)
    gate.set()
    assert time.monotonic() - started < 30
    assert found is not None
    assert not found.is_whole
    assert found.having == ("0.3", "0.4", "0.5")
    assert str(found) == "vllm has all of them in 0.3 to 0.5 (of the 3 releases read before time was up)"


def test_a_release_that_keeps_its_reader_waiting_keeps_no_other_one(
    filled: IndexServer, index_of: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing of 0.5 comes only once 0.1 to 0.4 were read."""
    gate, answer = threading.Event(), filled.answer

    def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
        if "vllm-0.5" in handler.path:
            gate.wait(60)
        answer(handler)

    def told(done: int, of: int, release: Release) -> None:
        if done == of - 1:
            gate.set()

    monkeypatch.setattr(filled, "answer", slowly)
    found = lenders(index_of(timeout=60.0), "vllm._ops:gemm", told=told, patience=50.0)
    assert found is not None
    assert found.is_whole
    assert len(found.having) == 5


def test_the_releases_nearest_to_the_installed_one_come_first(
    filled: IndexServer, index_of: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    judge = lending._judge
    monkeypatch.setattr(lending, "_THREADS", 1)
    monkeypatch.setattr(
        lending, "_judge", lambda release, *rest: (judged.append(release.version), judge(release, *rest))[1]
    )
    for installed, nearest in (("0.2", {"0.2", "0.3"}), ("0.5+cpu", {"0.5", "0.4"}), (None, {"0.5", "0.4"})):
        judged.clear()
        lenders(index_of(), "vllm.quant:AQLM", installed=installed)
        assert set(judged[:2]) == nearest
        assert len(judged) == 5


def test_whoever_waits_is_told_of_each_release(filled: IndexServer, index_of: Indexes) -> None:
    said: list[tuple[int, int, str]] = []
    lenders(index_of(), "vllm.quant:AQLM", told=lambda done, of, release: said.append((done, of, release.version)))
    assert {version for _, _, version in said} == set(RELEASES)
    assert [(done, of) for done, of, _ in said] == [(number, 5) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("lenders_", "text", "best"),
    [
        ({"read": (), "having": (), "fitting": ()}, "no release of vllm could be read", None),
        ({"read": ("1", "2"), "having": (), "fitting": ()}, "none of the 2 releases of vllm that were read has all of them", None),
        ({"read": ("1", "2", "3", "4"), "having": ("1", "2", "4"), "fitting": ("4",)}, "vllm has all of them in 1 to 2, 4", "4"),
        (
            {"read": ("1", "2"), "having": ("1", "2"), "fitting": (), "beside": "torch 2.9"},
            "vllm has all of them in 1 to 2; with the installed torch 2.9: none of these",
            "2",
        ),
        ({"read": ("1",), "having": ("1",), "fitting": ("1",), "beside": "torch 2.9"}, "vllm has all of them in 1", "1"),
    ],
)  # fmt: skip
def test_lenders_say_their_ranges_among_what_was_read(lenders_: dict[str, object], text: str, best: str | None) -> None:
    found = Lenders(distribution="vllm", **lenders_)  # type: ignore[arg-type]
    assert (str(found), found.best) == (text, best)
