"""Against the index that pip is set up for: the same file that pip itself would install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from mixprec_doctor.index import Index

pytestmark = pytest.mark.network
RELEASES = (
    "vllm==0.21.0", "vllm==0.20.1", "vllm==0.23.0", "vllm==0.8.0",
    "sglang==0.4.7", "sglang==0.5.23", "click>=8", "packaging",
)  # fmt: skip


def choice_of_pip(requirement: str, folder: Path) -> str:
    """The file that pip says it would install."""
    report = folder / "report.json"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
         "--no-cache-dir", "--report", str(report), requirement],
        check=True, timeout=300,
    )  # fmt: skip
    (item,) = json.loads(report.read_text())["install"]
    return unquote(item["download_info"]["url"].rpartition("/")[2])


@pytest.mark.parametrize("requirement", RELEASES)
def test_the_file_is_the_one_that_pip_would_install(requirement: str, tmp_path: Path) -> None:
    release = Index().find(requirement)[-1]
    assert release.fits
    assert release.file.filename == choice_of_pip(requirement, tmp_path)


@pytest.mark.parametrize("requirement", ["vllm==0.33.0", "sglang==0.5.23"])
def test_the_wanted_files_of_an_engine_come_to_few_bytes(requirement: str) -> None:
    from mixprec_doctor.resolving.layout import find_layout
    from mixprec_doctor.resolving.symbols import scoped_paths

    index = Index()
    (release,) = index.find(requirement)
    with index.open(release) as wheel:
        tree = wheel.tree(release.distribution)
        assert tree
        wanted = scoped_paths(tree, find_layout(release.distribution))
        tree.prefetch(wanted)
        assert all(tree.read(path) is not None for path in wanted)
    assert index.connection.received < 2_000_000
    assert index.connection.requests <= 15
