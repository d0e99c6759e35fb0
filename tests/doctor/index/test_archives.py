"""Wheels on an index: few requests, nothing asked twice, and the same bytes as the file has."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.index import Index
from mixprec_doctor.index.errors import UnreachableIndex
from mixprec_doctor.source.wheels import UnreadableWheel, Wheel
from tests.doctor.index.servers import IndexServer, make_wheel

MakeIndex = Callable[..., Index]
NAME = "engine-1.0-py3-none-any.whl"
NOISE = random.Random(7)  # noqa: S311  files are to be the same in each run


def source(size: int) -> bytes:
    """Text that hardly compresses."""
    return b"#" + NOISE.randbytes(size).replace(b"\n", b" ") + b"\n"


# Modules that are wanted lie among a megabyte of what is not.
FILES: dict[str, str | bytes] = {
    "engine/__init__.py": b"from engine.a import A\n",
    "engine/a.py": source(3000),
    "engine/b.py": source(3000),
    "engine/kernels.so": source(300_000),
    "engine/layers/__init__.py": b"",
    **{f"engine/layers/m{number}.py": source(2000) for number in range(40)},
    "engine/more.so": source(300_000),
    **{f"engine/deep/d{number}/__init__.py": b"# the licence\n" for number in range(30)},
    "engine/last.py": source(20_000),
    **{f"engine/data/{number}": source(200) for number in range(1500)},
}


@pytest.fixture
def wheel_of(server: IndexServer, index_of: MakeIndex) -> Callable[..., tuple[Index, Wheel]]:
    def make(contents: bytes | None = None, **options: object) -> tuple[Index, Wheel]:
        if f"/files/{NAME}" not in server.pages:
            server.add_project("engine", {NAME: contents or make_wheel(FILES)})
        index = index_of(**options)
        (release,) = index.find("engine")
        return index, index.open(release)

    return make


WheelOf = Callable[..., tuple[Index, Wheel]]


def test_many_files_take_few_requests_and_few_bytes(server: IndexServer, wheel_of: WheelOf) -> None:
    index, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    wanted = [*tree.walk("engine/layers"), "engine/a.py", "engine/last.py"]
    index.connection.received = 0
    tree.prefetch(wanted)
    asked = len(server.requests_for(f"/files/{NAME}"))
    assert {path: tree.read(path) for path in wanted} == {path: FILES[path] for path in wanted}
    # The end of the zip file, the rest of its directory, and three places.
    assert len(server.requests_for(f"/files/{NAME}")) == asked == 5
    assert index.connection.received < 200_000


def test_files_alike_are_fetched_once(server: IndexServer, wheel_of: WheelOf) -> None:
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    inits = [path for path in tree.walk("engine/deep") if path.endswith("__init__.py")]
    tree.prefetch([*inits, "engine/layers/__init__.py"])
    assert {tree.read(path) for path in inits} == {b"# the licence\n"}
    assert tree.read("engine/layers/__init__.py") == b""
    assert len(server.requests_for(f"/files/{NAME}")) == 3


def test_one_file_brings_its_neighbours_along(server: IndexServer, wheel_of: WheelOf) -> None:
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    assert tree.read("engine/layers/m20.py") == FILES["engine/layers/m20.py"]
    asked = len(server.asked)
    neighbours = [f"engine/layers/m{number}.py" for number in (19, 21)]
    assert [tree.read(path) for path in neighbours] == [FILES[path] for path in neighbours]
    assert len(server.asked) == asked


def test_what_was_read_is_there_offline(server: IndexServer, wheel_of: WheelOf) -> None:
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    tree.prefetch(["engine/a.py"])
    metadata = wheel.distribution
    server.close_up()
    index, again = wheel_of(offline=True)
    old = again.tree("engine")
    assert old
    assert old.walk("engine") == tree.walk("engine")
    assert old.read("engine/a.py") == FILES["engine/a.py"]
    assert again.distribution == metadata
    with pytest.raises(UnreachableIndex, match="offline"):
        old.read("engine/last.py")
    assert index.connection.requests == 0


def test_a_second_process_asks_the_server_nothing(server: IndexServer, wheel_of: WheelOf) -> None:
    for _ in range(2):
        _, wheel = wheel_of()
        tree = wheel.tree("engine")
        assert tree
        tree.prefetch(tree.walk("engine/layers"))
        assert tree.read("engine/layers/m3.py") == FILES["engine/layers/m3.py"]
        assert len(server.asked) == 4
        wheel.close()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("suffixes", [True, False])
def test_every_kind_of_server_gives_the_same_files(
    server: IndexServer, wheel_of: WheelOf, ranges: bool, suffixes: bool
) -> None:
    server.ranges, server.suffixes = ranges, suffixes
    index, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    tree.prefetch(tree.walk("engine"))
    assert {path: tree.read(path) for path in tree.walk("engine")} == {
        path: contents for path, contents in FILES.items() if path.endswith(".py")
    }
    assert any("gives no ranges" in note for note in index.notes) is not ranges


def test_a_server_that_stumbles_gives_the_same_files(server: IndexServer, wheel_of: WheelOf) -> None:
    index, wheel = wheel_of(retries=3)
    index.connection._pause = 0.0
    server.statuses = [503, 429]
    server.truncations = 1
    tree = wheel.tree("engine")
    assert tree
    assert tree.read("engine/a.py") == FILES["engine/a.py"]


def test_a_download_that_is_not_what_the_index_said_is_refused(server: IndexServer, wheel_of: WheelOf) -> None:
    server.ranges = False
    server.add_project("engine", {NAME: make_wheel(FILES)})
    server.pages[f"/files/{NAME}"] = ("", make_wheel({"engine/__init__.py": "import os"}))
    _, wheel = wheel_of()
    with pytest.raises(MixprecError, match="hash"):
        wheel.tree("engine")


def test_a_file_that_changes_between_two_requests_is_refused(server: IndexServer, wheel_of: WheelOf) -> None:
    server.etags = True
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    server.pages[f"/files/{NAME}"] = ("", make_wheel({**FILES, "engine/a.py": source(5000)}))
    with pytest.raises(MixprecError, match="changed"):
        tree.read("engine/a.py")


def test_a_broken_member_is_an_error_and_not_source(server: IndexServer, wheel_of: WheelOf) -> None:
    raw = bytearray(make_wheel(FILES))
    at = raw.index(b"engine/last.py") + len("engine/last.py") + 5000
    raw[at : at + 8] = b"\0" * 8
    server.add_project("engine", {NAME: bytes(raw)})
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    with pytest.raises(UnreadableWheel, match=r"engine/last\.py") as caught:
        tree.read("engine/last.py")
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED
    tree.prefetch(tree.walk("engine"))
    assert tree.read("engine/a.py") == FILES["engine/a.py"]


def test_a_bomb_is_refused_and_does_not_harm_its_neighbours(server: IndexServer, wheel_of: WheelOf) -> None:
    bombs = {"engine/huge.py": b"#" * (17 * 2**20), "engine/dense.py": b" " * 2**20}
    server.add_project("engine", {NAME: make_wheel({**bombs, "engine/a.py": b"a = 1\n"})})
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    tree.prefetch(tree.walk("engine"))
    assert tree.read("engine/a.py") == b"a = 1\n"
    for path in bombs:
        with pytest.raises(UnreadableWheel, match="bytes"):
            tree.read(path)


@pytest.mark.parametrize(("field", "lie"), [(42, 2**31), (42, 7), (20, 2**31), (20, 5)])
def test_a_directory_that_lies_is_an_error_and_not_a_long_download(
    server: IndexServer, wheel_of: WheelOf, field: int, lie: int
) -> None:
    raw = bytearray(make_wheel(FILES))
    entry = raw.rindex(b"engine/a.py") - 46  # its entry of the directory: 20 is the compressed size, 42 the place
    raw[entry + field : entry + field + 4] = lie.to_bytes(4, "little")
    server.add_project("engine", {NAME: bytes(raw)})
    index, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    with pytest.raises(UnreadableWheel):
        tree.read("engine/a.py")
    assert tree.read("engine/layers/m1.py") == FILES["engine/layers/m1.py"]
    assert index.connection.received < 600_000


def test_only_source_and_metadata_are_ever_fetched(server: IndexServer, wheel_of: WheelOf) -> None:
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    asked = len(server.asked)
    tree.prefetch(["engine/kernels.so", "engine/data/1"])
    assert tree.has("engine/kernels.so")
    assert tree.read("engine/kernels.so") is None
    assert tree.read("engine/data/1") is None
    assert len(server.asked) == asked


@pytest.mark.parametrize("contents", [b"", b"not a zip file" * 1000, make_wheel(FILES)[:-30]])
def test_what_is_no_wheel_is_told(server: IndexServer, wheel_of: WheelOf, contents: bytes) -> None:
    server.add_project("engine", {NAME: contents})
    _, wheel = wheel_of()
    with pytest.raises(MixprecError) as caught:
        wheel.tree("engine")
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED
    assert server.url in str(caught.value)


def test_many_threads_read_one_wheel(wheel_of: WheelOf) -> None:
    _, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    wrong: list[str] = []

    def read(start: int) -> None:
        wrong.extend(path for path in tree.walk("engine/layers")[start::4] if tree.read(path) != FILES[path])

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_wheel_without_a_hash_is_kept_by_its_address(server: IndexServer, wheel_of: WheelOf, tmp_path: Path) -> None:
    server.pages["/simple/engine/"] = ("text/html", f'<a href="/files/{NAME}">{NAME}</a>'.encode())
    server.pages[f"/files/{NAME}"] = ("", make_wheel(FILES))
    index, wheel = wheel_of()
    tree = wheel.tree("engine")
    assert tree
    tree.read("engine/a.py")
    assert index.store.members(f"{server.url}/files/{NAME}", ["engine/a.py"]) == {"engine/a.py": FILES["engine/a.py"]}
