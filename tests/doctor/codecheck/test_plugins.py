"""Plugins as they are published, held against releases that they declare and against others; each finding was looked
at in the release's source. docs/explanation/check-on-plugins.md tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.codecheck.checking import check
from mixprec_doctor.index.releases import open_release
from mixprec_doctor.index.requirements import find_each
from mixprec_doctor.records.codefinding import CodeReport
from mixprec_doctor.records.finding import Severity

pytestmark = pytest.mark.network

Found = list[tuple[str, str, int, tuple[str, ...]]]  # code, file, line, releases

DECLARED = (
    ("vllm-gguf-plugin==0.0.5", ("vllm==0.22.0", "vllm==0.33.0")),
    ("gridbook==0.9.1", ("vllm==0.24.0", "vllm==0.25.1")),
    ("kern-llm==0.3.1", ("vllm==0.33.0", "sglang==0.5.23")),
    ("sendnn-inference==2.6.3", ("vllm==0.26.0", "vllm==0.28.0")),
    ("openrlhf==0.11.2", ("vllm==0.29.0",)),
)
BROKEN: tuple[tuple[str, tuple[str, ...], Found], ...] = (
    (
        "vllm-gguf-plugin==0.0.5",
        ("vllm==0.21.0", "vllm==0.22.0"),
        [
            ("MP802", "vllm_gguf_plugin/quantization/config.py", 7, ("0.21.0",)),
            ("MP802", "vllm_gguf_plugin/quantization/fused_moe.py", 8, ("0.21.0",)),
            ("MP808", "vllm_gguf_plugin/quantization/fused_moe.py", 251, ("0.21.0",)),
            ("MP802", "vllm_gguf_plugin/quantization/params.py", 10, ("0.21.0",)),
        ],
    ),
    (
        "gridbook==0.9.1",
        ("vllm==0.25.1", "vllm==0.33.0"),
        [
            ("MP805", "gridbook/moe_mixed.py", 706, ("0.33.0",)),
            ("MP804", "gridbook/moe_mixed.py", 717, ("0.33.0",)),
            ("MP805", "gridbook/moe_mixed.py", 729, ("0.33.0",)),
        ],
    ),
    (
        "kern-llm==0.3.1",
        ("vllm==0.25.1", "vllm==0.33.0"),
        [
            ("MP801", "kern_vllm/backend.py", 20, ("0.25.1",)),
            ("MP805", "kern_vllm/model.py", 136, ("0.25.1",)),
        ],
    ),
)


def unpack(requirement: str, folder: Path) -> Path:
    """The Python files of a published wheel."""
    (release,) = find_each(requirement)
    with open_release(release) as wheel:
        paths = [path for path in wheel.archive.names() if path.endswith(".py")]
        wheel.archive.prefetch(paths)
        for path in paths:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(wheel.archive.read(path) or b"")
    return folder


def errors(report: CodeReport, folder: Path) -> Found:
    return [
        (each.finding.code, Path(each.place.file).relative_to(folder).as_posix(), each.place.line, each.releases)
        for each in report.findings
        if each.finding.severity is Severity.ERROR
    ]


@pytest.mark.parametrize(("plugin", "against"), DECLARED)
def test_a_plugin_has_no_error_against_what_it_declares(plugin: str, against: tuple[str, ...], tmp_path: Path) -> None:
    report = check([unpack(plugin, tmp_path)], against=against)
    assert errors(report, tmp_path) == []
    assert report.checked and not report.unread


@pytest.mark.parametrize(("plugin", "against", "expected"), BROKEN)
def test_a_plugin_has_the_errors_that_a_release_brings(
    plugin: str, against: tuple[str, ...], expected: Found, tmp_path: Path
) -> None:
    assert errors(check([unpack(plugin, tmp_path)], against=against), tmp_path) == expected


def test_a_class_that_a_release_took_away_is_told_from_that_release_on(tmp_path: Path) -> None:
    home = "vllm.model_executor.layers.quantization.awq_marlin"
    (tmp_path / "plugin.py").write_text(f"from {home} import AWQMarlinLinearMethod\n")
    report = check([tmp_path], against=["vllm==0.22.1", "vllm==0.23.0", "vllm==0.24.0", "vllm==0.25.1"])
    (found,) = report.findings
    assert (found.finding.code, found.releases) == ("MP801", ("0.24.0", "0.25.1"))
    assert [each.requirement for each in report.ranges] == ["vllm>=0.22.1,<0.24.0"]
