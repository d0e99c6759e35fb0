"""Which setup a launch goes by, and what it says of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.kernel import Tier, Verdict
from mixprec_doctor.records.setup import Aspect, Drift, Setup
from mixprec_doctor.records.workload import Workload
from mixprec_doctor.setup import InvalidSetup, make_setup, read_setup, with_kept, write_setup
from mixprec_runtime.launching.verified import KeptFrom, refuse_placeholders, revalidate, setup_place
from mixprec_runtime.reports.setup_text import proved_text, revalidated_text
from tests.doctor.setup.environments import GPTQ, choice, environment_of, install, layer, workload


@pytest.fixture
def served(tmp_path: Path) -> Workload:
    return workload("mix.yaml", layer(tmp_path / "fp8"), layer(tmp_path / "gptq", form=GPTQ))


@pytest.fixture
def setup(tmp_path: Path, served: Workload, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A setup of an environment that the running interpreter is taken for."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    install(site, "vllm", "0.32.0")
    made = make_setup(
        served,
        [choice(each, fault="RuntimeError: no operator") for each in served.layers],
        environment=environment_of(site),
        engine=InstalledEngine(engine="vllm", version="0.32.0", distribution="vllm", root=str(site)),
        seconds=31.0,
    )
    own = {**made.fingerprint.interpreter, "prefix": sys.prefix, "version": ".".join(map(str, sys.version_info[:3]))}
    return replace(made, fingerprint=replace(made.fingerprint, interpreter=own))


def test_without_any_setup_everything_is_to_be_proved(served: Workload, tmp_path: Path) -> None:
    found = revalidate(served, engine="vllm", named=None, kept=tmp_path / "none.json")
    assert found.missing == served.layers
    assert found.choices == ()
    assert revalidated_text(found) == "no setup proves the kernels of this mixture yet: 2 kinds of layer to prove\n"


def test_a_setup_that_holds_leaves_nothing_to_prove(served: Workload, setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    write_setup(setup, file)
    found = revalidate(served, engine="vllm", named=file, kept=tmp_path / "none.json")
    assert found.missing == ()
    assert len(found.choices) == 2
    assert "holds (looked at in " in revalidated_text(found)


def test_what_changed_is_named_and_all_is_proved_again(served: Workload, setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    write_setup(setup, file)
    install(tmp_path / "lib" / "python3.11" / "site-packages", "vllm", "0.33.0")
    found = revalidate(served, engine="vllm", named=file, kept=tmp_path / "none.json")
    assert found.missing == served.layers
    told = revalidated_text(found)
    assert "2 kinds of layer to prove anew; 1 changed" in told
    assert "  distribution vllm: 0.32.0 -> 0.33.0\n" in told


def test_the_setup_kept_from_an_earlier_launch_fills_what_the_named_one_leaves_open(
    served: Workload, setup: Setup, tmp_path: Path
) -> None:
    named, kept = tmp_path / "named.json", tmp_path / "kept.json"
    write_setup(replace(setup, choices=setup.choices[:1]), named)
    write_setup(replace(setup, choices=setup.choices[1:]), kept)
    found = revalidate(served, engine="vllm", named=named, kept=kept)
    assert found.missing == ()
    assert {each.format.name for each in found.choices} == {each.format.name for each in served.layers}
    alone = revalidate(served, engine="vllm", named=named, kept=tmp_path / "none.json")
    assert alone.missing == served.layers[1:]
    assert "1 of 2 kinds of layer to prove anew" in revalidated_text(alone)


def test_a_damaged_file_of_ours_is_made_anew_and_one_of_the_users_is_refused(served: Workload, tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    file.write_text("{")
    assert revalidate(served, engine="vllm", named=None, kept=file).missing == served.layers
    with pytest.raises(InvalidSetup, match="is no JSON"):
        revalidate(served, engine="vllm", named=file, kept=tmp_path / "none.json")


def test_a_setup_for_another_engine_or_other_ranks_is_refused(served: Workload, setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    write_setup(setup, file)
    with pytest.raises(InvalidSetup, match="is for vllm on 1 ranks, wanted sglang on 1 ranks"):
        revalidate(served, engine="sglang", named=file, kept=tmp_path / "none.json")
    with pytest.raises(InvalidSetup, match="wanted vllm on 2 ranks"):
        revalidate(replace(served, ranks=2), engine="vllm", named=file, kept=tmp_path / "none.json")


def test_what_is_proved_of_one_mixture_serves_another_of_the_same_checkpoints(
    served: Workload, setup: Setup, tmp_path: Path
) -> None:
    kept = setup_place(engine="vllm", root=tmp_path)
    for each in served.layers:
        Path(each.folder).mkdir()
    write_setup(replace(setup, choices=setup.choices[:1]), kept)
    first = read_setup(kept)
    write_setup(with_kept(replace(setup, choices=setup.choices[1:], workload="other.yaml"), first, ()), kept)
    found = revalidate(served, engine="vllm", named=None, kept=kept)
    assert found.missing == ()
    Path(served.layers[0].folder).rmdir()
    gone = with_kept(replace(setup, choices=setup.choices[1:]), first, ())
    assert gone.choices == setup.choices[1:]


def test_nothing_is_kept_across_a_change_that_counts(setup: Setup, served: Workload) -> None:
    Path(served.layers[0].folder).mkdir()
    drift = Drift(aspect=Aspect.DISTRIBUTION, name="vllm", before="0.32.0", now="0.33.0")
    new = replace(setup, choices=setup.choices[1:])
    assert with_kept(new, setup, (drift,)) == new
    assert with_kept(new, replace(setup, engine="sglang"), ()) == new
    assert len(with_kept(new, setup, ()).choices) == 2


def test_each_engine_has_a_place_of_its_own(tmp_path: Path) -> None:
    assert setup_place(engine="vllm", root=tmp_path) != setup_place(engine="sglang", root=tmp_path)


def test_layers_with_nothing_but_a_placeholder_are_refused_with_every_reason(setup: Setup) -> None:
    left = replace(
        setup.choices[0],
        verdicts=(
            Verdict(candidate="Native", tier=Tier.NATIVE, accepted=False, reasons=("needs capability 9.0",)),
            Verdict(candidate="placeholder", tier=Tier.PLACEHOLDER, accepted=None),
        ),
    )
    with pytest.raises(KeptFrom) as caught:
        refuse_placeholders((setup.choices[1], left))
    words = str(caught.value)
    assert "fp8-channel 64 -> 32: model.layers.0.mlp.down_proj and 1 more" in words
    assert "Native: needs capability 9.0" in words
    assert "--allow-placeholders" in words
    refuse_placeholders(setup.choices)


def test_what_was_proved_is_told_with_what_it_replaces_and_costs(
    served: Workload, setup: Setup, tmp_path: Path
) -> None:
    file = tmp_path / "setup.json"
    write_setup(setup, file)
    found = revalidate(served, engine="vllm", named=file, kept=tmp_path / "none.json")
    told = proved_text(replace(found, seconds=31.0))
    assert "2 of 2 kinds of layer proved in 31 s" in told
    assert "fp8-channel 64 -> 32 (2 modules): portable w8 (portable), error 0.20%" in told
    assert "! fp8-channel: portable w8 serves model.layers.0.mlp.down_proj and 1 more" in told
    assert "2.0 times as long as 16 bits at 1 row" in told
    assert "in place of NativeKernel: RuntimeError: no operator" in told
