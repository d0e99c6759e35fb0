"""Trees of a wheel file are those of the unpacked wheel, and its metadata is read without unpacking."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.environment import EntryPoint
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import FolderTree
from mixprec_doctor.source.wheels import UnreadableWheel, open_wheel
from tests.doctor.index.servers import make_wheel

FILES = {
    "engine/__init__.py": "from engine.layers.linear import Linear\n",
    "engine/layers/linear.py": "class Linear: ...\n",
    "engine/layers/__init__.py": "",
    "engine/_C.abi3.so": b"\x7fELF",
    "engine/data/table.json": "{}",
    "helper.py": "x = 1\n",
    "plain_C.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
    "space/inner.py": "",
}


@pytest.fixture
def wheel_file(tmp_path: Path) -> Path:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    path.write_bytes(
        make_wheel(
            FILES,
            metadata="Requires-Dist: torch==2.9\nRequires-Dist: numpy\nRequires-Python: >=3.10",
            points="[console_scripts]\nengine = engine.cli:main\n",
        )
    )
    return path


def test_a_tree_answers_as_that_of_the_unpacked_wheel(wheel_file: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel_file).extractall(tmp_path / "site")
    with open_wheel(wheel_file) as wheel:
        for package, place in (("engine", "engine"), ("helper", "helper.py"), ("space", "space")):
            tree, folder = wheel.tree(package), FolderTree(tmp_path / "site" / place, package)
            assert tree
            assert tree.package == folder.package
            assert tree.walk(package) == folder.walk(package)
            for path in (
                "engine",
                "engine/layers",
                "engine/layers/linear.py",
                "engine/no.py",
                "helper.py",
                "space",
                "nothing",
                "space/inner.py",
                "engine/layers/linear.py/x",
            ):
                assert (path, tree.has(path)) == (path, folder.has(path))
                assert (path, tree.list(path)) == (path, folder.list(path))
                assert (path, tree.read(path)) == (path, folder.read(path))


def test_sources_read_a_wheel(wheel_file: Path) -> None:
    with open_wheel(wheel_file) as wheel:
        module = Sources(wheel.tree).module("engine.layers.linear")
        assert module is not None
        assert Sources(wheel.tree).tree("torch") is None


def test_the_metadata_is_that_of_an_installed_distribution(wheel_file: Path) -> None:
    with open_wheel(wheel_file) as wheel:
        found = wheel.distribution
    assert (found.name, found.version, found.requires_python) == ("engine", "1.0", ">=3.10")
    assert found.requires == ("torch==2.9", "numpy")
    assert found.entry_points == (EntryPoint(group="console_scripts", name="engine", value="engine.cli:main"),)
    assert found.packages == ("engine", "helper", "plain_C")
    assert found.namespaces == ("space",)
    assert found.tags == ("py3-none-any",)
    assert found.location == str(wheel_file)


def test_a_wheel_without_metadata_says_so(tmp_path: Path) -> None:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("engine/__init__.py", "")
    with open_wheel(path) as wheel:
        assert wheel.distribution.faults == ("METADATA is missing",)
        assert wheel.packages == ("engine",)


def test_data_folders_are_where_installation_puts_them(tmp_path: Path) -> None:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    path.write_bytes(
        make_wheel(
            {
                "engine-1.0.data/purelib/engine/__init__.py": "a = 1",
                "engine-1.0.data/platlib/engine/b.py": "b = 1",
                "engine-1.0.data/scripts/run.py": "c = 1",
            }
        )
    )
    with open_wheel(path) as wheel:
        tree = wheel.tree("engine")
        assert tree
        assert tree.walk("engine") == ("engine/__init__.py", "engine/b.py")
        assert tree.read("engine/b.py") == b"b = 1"
        assert wheel.packages == ("engine",)


@pytest.mark.parametrize(
    "name",
    [
        "../engine/evil.py",
        "/engine/evil.py",
        "engine/../../evil.py",
        "engine/./evil.py",
        "C:/engine/evil.py",
        "engine//evil.py",
        "engine-1.0.data/purelib/../engine/evil.py",
    ],
)
def test_names_that_leave_the_folder_are_not_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    path.write_bytes(make_wheel({"engine/__init__.py": "", name: "evil"}))
    with open_wheel(path) as wheel:
        tree = wheel.tree("engine")
        assert tree
        assert tree.walk("engine") == ("engine/__init__.py",)
        assert not any("evil" in each for each in wheel.archive.names())


def test_a_tree_gives_nothing_of_other_packages(wheel_file: Path) -> None:
    with open_wheel(wheel_file) as wheel:
        tree = wheel.tree("engine")
        assert tree
        assert tree.read("helper.py") is None
        assert tree.read("engine-1.0.dist-info/METADATA") is None
        assert tree.list("") == ()
        assert wheel.tree("nothing") is None


@pytest.mark.parametrize("contents", [None, b"", b"no zip file"])
def test_a_file_that_is_no_wheel_is_told(tmp_path: Path, contents: bytes | None) -> None:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(UnreadableWheel, match=r"engine-1\.0") as caught:
        open_wheel(path)
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED


def test_prefetching_from_a_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("a = 1")
    tree = FolderTree(tmp_path / "engine")
    tree.prefetch(["engine/__init__.py", "engine/nothing.py"])
    assert tree.read("engine/__init__.py") == b"a = 1"
