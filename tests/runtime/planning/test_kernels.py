"""What a plan says of kernels, and what of it is handed to the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mixprec_doctor.records.kernel import Tier, Verdict
from mixprec_runtime.planning.kernels import handed_over, unserved
from tests.doctor.setup.environments import choice, layer

DOWN = "model.layers.0.mlp.down_proj"


def test_only_what_was_proved_is_handed_over(tmp_path: Path) -> None:
    proved = choice(layer(tmp_path))
    read = replace(proved, verdicts=tuple(replace(each, proof=None) for each in proved.verdicts))
    assert handed_over([read]) == {}
    told = handed_over([proved])
    assert set(told) == set(proved.modules)
    assert told[DOWN]["tier"] == "native"
    assert told[DOWN]["without"] == []
    assert (told[DOWN]["inputs"], told[DOWN]["outputs"]) == (64, [32])


def test_the_engine_is_told_which_kernels_to_keep_from(tmp_path: Path) -> None:
    told = handed_over([choice(layer(tmp_path), fault="RuntimeError: no such operator")])
    assert told[DOWN]["tier"] == "portable"
    assert told[DOWN]["kernel"] == "portable w8"
    assert told[DOWN]["without"] == ["NativeKernel"]


def test_a_placeholder_serves_nothing_and_takes_its_reasons_along(tmp_path: Path) -> None:
    full = choice(layer(tmp_path))
    left = replace(
        full,
        verdicts=(
            Verdict(candidate="NativeKernel", tier=Tier.NATIVE, accepted=False, reasons=("needs capability 8.9",)),
            Verdict(candidate="placeholder", tier=Tier.PLACEHOLDER, accepted=None),
        ),
    )
    assert unserved([full, left]) == (left,)
    assert handed_over([left])[DOWN]["reasons"] == ["NativeKernel: needs capability 8.9"]


def test_layers_without_any_candidate_are_unserved(tmp_path: Path) -> None:
    nothing = replace(choice(layer(tmp_path)), verdicts=())
    assert unserved([nothing]) == (nothing,)
    assert handed_over([nothing]) == {}
