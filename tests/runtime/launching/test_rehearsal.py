"""A launch rehearsed for a machine that is not here, from the setup that was made there."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.records.kernel import Tier, Verdict
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.records.setup import Fingerprint, Setup
from mixprec_doctor.records.workload import Workload
from mixprec_doctor.setup import InvalidSetup, write_setup
from mixprec_runtime.launching.rehearsal import rehearse
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.workload import workload_of
from tests.doctor.setup.environments import choice
from tests.runtime.builders import gptq, model_tensors, write_checkpoint

HOOK = Resolution(
    role=Role.PLUGIN_HOOK, engine="sglang", status=Status.FOUND, module="sglang.srt.plugins", name="load_plugins"
)


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "base", model_tensors())
    write_checkpoint(tmp_path / "int4", model_tensors(gptq), quantization={
        "quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": False, "sym": True,
    })  # fmt: skip
    file = tmp_path / "mix.yaml"
    file.write_text(
        "model: base\nsources: {int4: {path: int4}}\nrules: [{targets: ['re:.*down_proj$'], source: int4}]\n"
        "serve: {dtype: bfloat16}\n",
        encoding="utf-8",
    )
    return file


@pytest.fixture
def served(mix: Path) -> Workload:
    wish = read_mix(mix)
    return workload_of(make_plan(wish), wish)


def made_there(served: Workload, *, prefix: str = "/opt/serving") -> Setup:
    """A setup of a machine with a GPU, whose checkpoints lie elsewhere."""
    layers = [replace(layer, folder=f"/data/{Path(layer.folder).name}") for layer in served.layers]
    return Setup(
        made="2026-11-20T10:00:00+00:00", engine="sglang", version="0.5.21", workload="/data/mix.yaml", ranks=1,
        fingerprint=Fingerprint(
            interpreter={"prefix": prefix, "version": "3.12.4"}, distributions=(), machine={"gpu 0": "NVIDIA H100"},
            variables={"SGLANG_X": "0"}, files={},
        ),
        resolutions=(HOOK,), choices=tuple(replace(choice(layer), engine="sglang") for layer in layers), findings=(),
        seconds=30.0,
    )  # fmt: skip


def launch(mix: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In an interpreter without any engine."""
    environment = {**os.environ, "MIXPREC_CACHE": str(mix.parent / "cache"), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mixprec_runtime", "launch", str(mix), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_choices_of_checkpoints_that_lie_elsewhere_there_are_found_by_their_folders_names(
    served: Workload, tmp_path: Path
) -> None:
    write_setup(made_there(served), tmp_path / "setup.json")
    choices, missing = rehearse(tmp_path / "setup.json", engine="auto").kernels(served)
    assert missing == ()
    assert {each.folder for each in choices} == {layer.folder for layer in served.layers}
    assert sorted(name for each in choices for name in each.modules) == sorted(
        name for layer in served.layers for name in layer.modules
    )


def test_what_the_setup_does_not_prove_is_left(served: Workload, tmp_path: Path) -> None:
    setup = made_there(served)
    write_setup(replace(setup, choices=setup.choices[:1]), tmp_path / "setup.json")
    choices, missing = rehearse(tmp_path / "setup.json", engine="sglang").kernels(served)
    assert (len(choices), len(missing)) == (1, len(served.layers) - 1)


def test_a_setup_of_another_engine_is_refused(served: Workload, tmp_path: Path) -> None:
    write_setup(made_there(served), tmp_path / "setup.json")
    with pytest.raises(InvalidSetup, match="is for sglang, wanted vllm"):
        rehearse(tmp_path / "setup.json", engine="vllm")


def test_the_command_is_the_one_that_would_be_typed_there(mix: Path, served: Workload) -> None:
    write_setup(made_there(served), mix.parent / "setup.json")
    found = launch(mix, "--engine", "sglang", "--dry-run", "--setup", str(mix.parent / "setup.json"), "--", "--tp", "1")
    assert found.returncode == 0, found.stderr
    words = found.stdout.split()
    assert words[:4] == ["/opt/serving/bin/python", "-m", "sglang.launch_server", "--model-path"]
    assert words[-2:] == ["--tp", "1"]
    assert "rehearsal of sglang 0.5.21" in found.stderr
    assert "NVIDIA H100" in found.stderr
    assert "nothing is compared with this machine" in found.stderr
    assert "gptq-int4-g16" in found.stderr


def test_a_release_without_plugins_is_started_by_mixprecs_own_door(mix: Path, served: Workload) -> None:
    setup = replace(made_there(served), resolutions=(replace(HOOK, status=Status.MISSING, module=None, name=None),))
    write_setup(setup, mix.parent / "setup.json")
    found = launch(mix, "--dry-run", "--engine", "sglang", "--setup", str(mix.parent / "setup.json"))
    assert found.stdout.split()[2] == "mixprec_runtime.adapters.sglang.server"


def test_layers_that_nothing_serves_there_are_refused_as_in_a_launch(mix: Path, served: Workload) -> None:
    setup = made_there(served)
    rejected = Verdict(candidate="gptq", tier=Tier.NATIVE, accepted=False, reasons=("no GPU",))
    placeholder = Verdict(candidate="placeholder", tier=Tier.PLACEHOLDER, accepted=True)
    unserved = tuple(replace(each, verdicts=(rejected, placeholder)) for each in setup.choices)
    write_setup(replace(setup, choices=unserved), mix.parent / "setup.json")
    found = launch(mix, "--dry-run", "--engine", "sglang", "--setup", str(mix.parent / "setup.json"))
    assert found.returncode == 1
    assert "no kernel serves these layers" in found.stderr
    assert found.stdout == ""


def test_without_a_setup_a_launch_on_an_engine_that_is_not_here_is_refused(mix: Path) -> None:
    found = launch(mix, "--dry-run", "--engine", "sglang")
    assert found.returncode == 1
    assert "wanted an engine (sglang)" in found.stderr
