"""Choosing: the file that pip would take, and the nearest one when it would take none."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags

from mixprec_doctor.index.choosing import WheelTarget, choose_file
from mixprec_doctor.records.release import ReleaseFile


def interpreter(python: str, *platforms: str) -> WheelTarget:
    version = tuple(int(part) for part in python.split("."))[:2]
    tags: list[Tag] = [*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)]
    return WheelTarget(tags=tuple(tags), python=python)


LINUX = interpreter("3.11.7", "manylinux_2_36_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "linux_x86_64")
OLD_LINUX = interpreter("3.10.4", "manylinux_2_36_x86_64", "manylinux_2_28_x86_64", "linux_x86_64")
MAC = interpreter("3.12.1", "macosx_14_0_arm64")


def listed(*names: str, yanked: Iterable[str] = (), python: str | None = None) -> list[ReleaseFile]:
    return [
        ReleaseFile(
            distribution="engine", version="1.0", filename=name, url=f"https://host/{name}",
            requires_python=python, yanked=name in yanked,
        )
        for name in names
    ]  # fmt: skip


def chosen(files: list[ReleaseFile], target: WheelTarget, *, yanked: bool = False) -> tuple[str, bool]:
    found = choose_file(files, target, yanked=yanked)
    assert found
    return found[0].filename, found[1]


def test_the_higher_build_tag_wins() -> None:
    names = [f"engine-1.0{build}-cp38-abi3-manylinux_2_28_x86_64.whl" for build in ("-2", "-10", "", "-1")]
    assert chosen(listed(*names), LINUX) == (names[1], True)


def test_the_better_tag_wins_over_the_build_tag() -> None:
    names = ("engine-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", "engine-1.0-9-py3-none-any.whl")
    assert chosen(listed(*names), LINUX) == (names[0], True)


def test_the_platform_of_the_interpreter_is_chosen() -> None:
    names = [f"engine-1.0-cp38-abi3-{platform}.whl" for platform in ("manylinux_2_28_aarch64", "manylinux_2_28_x86_64")]
    assert chosen(listed(*names), LINUX) == (names[1], True)


def test_a_withdrawn_file_comes_last_and_only_when_asked_for() -> None:
    names = ("engine-1.0-py3-none-any.whl", "engine-1.0-1-py3-none-any.whl")
    assert chosen(listed(*names, yanked=names[1:]), LINUX, yanked=True) == (names[0], True)
    assert choose_file(listed(*names, yanked=names), LINUX) is None
    assert chosen(listed(*names, yanked=names), LINUX, yanked=True) == (names[1], True)


def test_of_equal_files_the_last_index_has_its_way() -> None:
    first, second = listed("engine-1.0-py3-none-any.whl"), listed("engine-1.0-py3-none-any.whl")
    assert choose_file([*first, *second], LINUX) == (second[0], True)
    assert choose_file([*first, *second], LINUX)[0] is second[0]  # type: ignore[index]


@pytest.mark.parametrize("order", [1, -1])
def test_when_nothing_fits_it_is_linux_on_x86_64(order: int) -> None:
    names = [
        f"engine-1.0-cp38-abi3-{platform}.whl"
        for platform in ("win_amd64", "manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_11_0_x86_64")
    ]
    assert chosen(listed(*names[::order]), MAC) == ("engine-1.0-cp38-abi3-manylinux_2_28_x86_64.whl", False)


@pytest.mark.parametrize("order", [1, -1])
def test_when_no_python_fits_it_is_the_lowest_newer_one(order: int) -> None:
    names = [f"engine-1.0-cp3{minor}-cp3{minor}-manylinux_2_28_x86_64.whl" for minor in (9, 11, 12, 13)]
    assert chosen(listed(*names[::order]), OLD_LINUX) == (names[1], False)


def test_a_release_for_newer_pythons_is_read_and_does_not_fit() -> None:
    (name,) = names = ("engine-1.0-cp38-abi3-manylinux_2_28_x86_64.whl",)
    assert chosen(listed(*names, python=">=3.11"), OLD_LINUX) == (name, False)
    assert chosen(listed(*names, python=">=3.11"), LINUX) == (name, True)


def test_requires_python_that_is_not_valid_is_ignored() -> None:
    (name,) = names = ("engine-1.0-py3-none-any.whl",)
    assert chosen(listed(*names, python=">=3.8.*oops"), LINUX) == (name, True)


def test_a_source_archive_is_listed_when_there_is_no_wheel() -> None:
    assert chosen(listed("engine-1.0.tar.gz"), LINUX) == ("engine-1.0.tar.gz", False)
    assert chosen(listed("engine-1.0-cp38-abi3-win_amd64.whl", "engine-1.0.tar.gz"), LINUX)[0].endswith(".whl")
