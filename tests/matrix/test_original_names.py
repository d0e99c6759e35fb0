"""The names of the original system on live models of a real vLLM."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.matrix.names_judged")

from mixprec_doctor.cache import cache_folder  # noqa: E402
from tests.matrix.names_judged import NamesOnAnEngine  # noqa: E402

pytestmark = pytest.mark.engine

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "original-names.md"


def environment() -> dict[str, str]:
    """What a process with the engine in it is started with."""
    quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "MIXPREC_CACHE": str(cache_folder())}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("names")
    script = Path(__file__).with_name("original_names_in_process.py")
    command = [sys.executable, str(script), str(root), str(root / "answer.json")]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    answers: dict[str, Any] = json.loads((root / "answer.json").read_text(encoding="utf-8"))
    return answers


class TestNamesOnVllm(NamesOnAnEngine):
    """All rules, with vLLM's classes, kernels and loaders."""


@pytest.mark.heavy
def test_the_example_of_the_page_turns_a_running_model_into_the_mixture(tmp_path: Path) -> None:
    """The reply of a model whose layers are replaced while it runs is that of the mixture served from the start."""
    from tests.matrix.generated_mixture import write_mixture

    write_mixture(tmp_path, name="mix")
    (example,) = re.findall(r"<!-- run: vllm -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=400,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "14 linear layers replaced" in done.stdout
    replies = [line.partition(": ")[2] for line in done.stdout.splitlines() if line.startswith("reply")]
    assert len(replies) == 3
    assert replies[0] != replies[1] == replies[2]
