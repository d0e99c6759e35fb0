"""Releases without plugins: mixprec's own door hands its loader to processes that the engine starts."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.runfolder import write_run_folder
from tests.matrix import launches
from tests.matrix.generated_mixture import write_mixture
from tests.matrix.sglang.test_served import ON_CPU

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

if importlib.util.find_spec("sglang.srt.plugins") is not None:
    pytest.skip("this release of SGLang has plugins, and finds mixprec by itself", allow_module_level=True)
if importlib.util.find_spec("vllm") is None:
    pytest.skip("without vLLM this release of SGLang makes no model on a CPU", allow_module_level=True)

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("device")  # transformers of that time finds Llama once SGLang is imported
def test_a_process_that_the_engine_starts_loads_the_mixture_with_the_loader_it_was_handed(tmp_path: Path) -> None:
    """How far a server of this release comes without a GPU: the weights are in, then its first operator is not there."""
    plan = make_plan(read_mix(write_mixture(tmp_path)))
    run = write_run_folder(plan, root=tmp_path / "runs")
    state = tmp_path / "state"
    state.mkdir()
    started = launches.run_words(
        ["-m", "tests.matrix.sglang.server_on_cpu", "--model-path", str(run), "--disable-cuda-graph", *ON_CPU],
        tmp_path,
        variables={"PYTHONPATH": str(ROOT), "MIXPREC_STATE_DIR": str(state)},
        model="default",
    )
    try:
        until = time.monotonic() + launches.START_SECONDS
        while started.process.poll() is None and not read_accounts(state) and time.monotonic() < until:
            time.sleep(0.5)
        accounts = read_accounts(state)
    finally:
        started.process.kill()
        started.process.wait()
    assert accounts, started.text()
    assert accounts[0].faults == ()
    planned = sum(tensor.nbytes for layer in plan.layers for tensor in layer.tensors)
    assert sum(read.bytes for read in accounts[0].sources.values()) == planned
