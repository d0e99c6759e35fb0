"""A setup holds as long as what it was proved on is the same, and says precisely what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.setup import Aspect, Setup
from mixprec_doctor.records.workload import Workload
from mixprec_doctor.setup import drift_of, make_setup, refresh, valid_choices
from tests.doctor.setup.environments import (
    FP8,
    GPTQ,
    choice,
    environment_of,
    install,
    layer,
    workload,
    write_tensors,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    install(site, "vllm", "0.32.0", requires=("torch==2.13.0", "flashkernels>=1; extra == 'fast'"))
    install(site, "torch", "2.13.0", requires=("sympy",))
    install(site, "sympy", "1.14")
    install(site, "pytest", "9.0")
    return site


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "fp8"
    folder.mkdir()
    (folder / "config.json").write_text('{"quantization_config": {"quant_method": "fp8"}}')
    write_tensors(folder / "model.safetensors", {"weight": (32, 64)})
    (tmp_path / "mix.yaml").write_text("model: fp8\n")
    return folder


@pytest.fixture
def served(checkpoint: Path) -> Workload:
    return workload(str(checkpoint.parent / "mix.yaml"), layer(checkpoint), layer(checkpoint, form=GPTQ))


@pytest.fixture
def setup(site: Path, served: Workload) -> Setup:
    engine = InstalledEngine(engine="vllm", version="0.32.0", distribution="vllm", root=str(site))
    choices = [choice(each) for each in served.layers]
    return make_setup(served, choices, environment=environment_of(site), engine=engine, seconds=1.0)


def drifts(setup: Setup, site: Path) -> list[str]:
    return [str(each) for each in drift_of(setup.fingerprint, refresh(setup.fingerprint, environment_of(site)))]


def valid(setup: Setup, site: Path, served: Workload) -> tuple[int, int]:
    found = drift_of(setup.fingerprint, refresh(setup.fingerprint, environment_of(site)))
    held, missing = valid_choices(setup, found, served)
    return len(held), len(missing)


def test_nothing_changed_nothing_drifts(setup: Setup, site: Path, served: Workload) -> None:
    assert drifts(setup, site) == []
    assert valid(setup, site, served) == (2, 0)


def test_what_the_engine_needs_counts_through_others_too(setup: Setup) -> None:
    counting = {each.name for each in setup.fingerprint.distributions if each.counts}
    assert counting == {"vllm", "torch", "sympy"}


@pytest.mark.parametrize(("name", "version"), [("vllm", "0.33.0"), ("torch", "2.14.0"), ("sympy", "1.15")])
def test_another_release_of_what_the_engine_needs_ends_all_proofs(
    setup: Setup, site: Path, served: Workload, name: str, version: str
) -> None:
    before = next(each.version for each in setup.fingerprint.distributions if each.name == name)
    install(site, name, version)
    assert drifts(setup, site) == [f"distribution {name}: {before} -> {version}"]
    assert valid(setup, site, served) == (0, 2)


def test_files_of_the_same_release_that_were_exchanged_count(setup: Setup, site: Path, served: Workload) -> None:
    install(site, "torch", "2.13.0", files="b")
    assert drifts(setup, site) == ["distribution torch has other contents"]
    assert valid(setup, site, served) == (0, 2)


def test_what_the_engine_has_no_use_for_is_told_and_ends_nothing(setup: Setup, site: Path, served: Workload) -> None:
    install(site, "pytest", "9.1")
    install(site, "flask", "3.0")
    assert drifts(setup, site) == ["distribution pytest: 9.0 -> 9.1", "distribution flask is new: 3.0"]
    assert valid(setup, site, served) == (2, 0)


def test_something_new_that_the_engine_would_use_ends_all_proofs(setup: Setup, site: Path, served: Workload) -> None:
    install(site, "flashkernels", "1.0")
    assert drifts(setup, site) == ["distribution flashkernels is new: 1.0"]
    assert valid(setup, site, served) == (0, 2)


def test_a_distribution_that_two_folders_hold_is_no_change_by_itself(
    site: Path, served: Workload, tmp_path: Path
) -> None:
    beside = tmp_path / "beside"
    install(beside, "torch", "2.12.0")
    (site / "beside.pth").write_text(f"{beside}\n")
    engine = InstalledEngine(engine="vllm", version="0.32.0", distribution="vllm", root=str(site))
    made = make_setup(served, [], environment=environment_of(site), engine=engine, seconds=1.0)
    assert sum(each.name == "torch" for each in made.fingerprint.distributions) == 2
    assert drifts(made, site) == []
    install(beside, "torch", "2.11.0")
    assert drifts(made, site) == ["distribution torch: 2.12.0 and 2.13.0 -> 2.11.0 and 2.13.0"]


def test_a_distribution_that_is_gone_counts(setup: Setup, site: Path, served: Workload) -> None:
    for file in (site / "sympy-1.14.dist-info").iterdir():
        file.unlink()
    (site / "sympy-1.14.dist-info").rmdir()
    assert drifts(setup, site) == ["distribution sympy is gone (was 1.14)"]
    assert valid(setup, site, served) == (0, 2)


def test_another_machine_ends_all_proofs(setup: Setup, site: Path, served: Workload) -> None:
    elsewhere = replace(setup.fingerprint, machine={**setup.fingerprint.machine, "cpu": "Another 9000"})
    found = drift_of(elsewhere, refresh(setup.fingerprint, environment_of(site)))
    assert [(each.aspect, each.name, each.before) for each in found] == [(Aspect.MACHINE, "cpu", "Another 9000")]
    assert valid_choices(setup, found, served) == ((), served.layers)


def test_another_release_of_mixprec_ends_all_proofs(setup: Setup, site: Path, served: Workload) -> None:
    """Its own kernels, and how it judges, may be others."""
    interpreter = {**setup.fingerprint.interpreter, "mixprec": "0.0.1"}
    found = drift_of(
        replace(setup.fingerprint, interpreter=interpreter), refresh(setup.fingerprint, environment_of(site))
    )
    assert [each.name for each in found] == ["mixprec"]
    assert valid_choices(setup, found, served) == ((), served.layers)


def test_a_variable_that_engines_read_counts_and_its_value_stays_unsaid(
    setup: Setup, site: Path, served: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_DISABLED_KERNELS", "secret")
    assert drifts(setup, site) == ["variable VLLM_DISABLED_KERNELS is new"]
    assert valid(setup, site, served) == (0, 2)
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    assert "secret" not in str(refresh(setup.fingerprint).to_json())
    assert "VLLM_API_KEY" not in refresh(setup.fingerprint).variables


def test_the_head_of_a_checkpoint_counts_and_its_weights_do_not(
    setup: Setup, site: Path, served: Workload, checkpoint: Path
) -> None:
    write_tensors(checkpoint / "model.safetensors", {"weight": (32, 64)}, fill=7)
    assert drifts(setup, site) == []
    write_tensors(checkpoint / "model.safetensors", {"weight": (32, 128)})
    assert drifts(setup, site) == [f"file {checkpoint / 'model.safetensors'} has other contents"]
    assert valid(setup, site, served) == (2, 0)  # shapes are compared by themselves


def test_another_config_of_a_checkpoint_ends_what_was_proved_for_it(
    setup: Setup, site: Path, served: Workload, checkpoint: Path
) -> None:
    (checkpoint / "config.json").write_text("{}")
    assert valid(setup, site, served) == (0, 2)


def test_only_layers_that_no_proof_is_about_are_proved_anew(
    setup: Setup, site: Path, served: Workload, checkpoint: Path
) -> None:
    more = replace(served, layers=(*served.layers, layer(checkpoint, inputs=128)))
    held, missing = valid_choices(setup, (), more)
    assert len(held) == 2
    assert [each.shape.inputs for each in missing] == [128]
    assert valid_choices(setup, (), replace(more, dtype="float16"))[1] == more.layers
    assert held[0].format == FP8


def test_a_choice_that_holds_is_for_the_modules_of_today(setup: Setup, served: Workload) -> None:
    first = replace(served.layers[0], units=(("model.layers.7.mlp.down_proj",),), source="other")
    held, _ = valid_choices(setup, (), replace(served, layers=(first,)))
    assert held[0].modules == ("model.layers.7.mlp.down_proj",)
    assert held[0].source == "other"


def test_what_was_not_tried_to_its_end_is_tried_anew(setup: Setup, served: Workload) -> None:
    first, *others = setup.choices
    undecided = replace(first, verdicts=tuple(replace(each, proof=None, accepted=None) for each in first.verdicts))
    _, missing = valid_choices(replace(setup, choices=(undecided, *others)), (), served)
    assert [(each.format, each.shape) for each in missing] == [(first.format, first.shape)]
