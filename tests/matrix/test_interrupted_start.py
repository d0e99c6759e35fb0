"""Ctrl-C while the engine is still starting: everything ends, at once, and nothing is left."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.demo.mixture import mix_text
from tests.matrix.launches import start

pytestmark = [pytest.mark.engine, pytest.mark.heavy]


@pytest.mark.parametrize("moment", ["starting the engine", "loading the planned tensors"])
def test_ctrl_c_during_the_start_leaves_nothing(demo: DemoCheckpoints, tmp_path: Path, moment: str) -> None:
    file = tmp_path / "early.yaml"
    file.write_text(mix_text(demo, port=8000), encoding="utf-8")
    launched = start(file, tmp_path)
    launched.wait_for_text(moment)
    if moment == "starting the engine":
        time.sleep(5)
    code = launched.stop(signal.SIGINT)
    assert code != 1, launched.text()
    assert launched.descendants() == []
    assert "Traceback" not in launched.text()
