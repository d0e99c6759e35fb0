"""What no kernel serves is no option, and a unit takes as long as the layers that its modules are in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mixprec_doctor.records.format import FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Timing, Verdict
from mixprec_doctor.records.workload import Workload, WorkloadLayer
from mixprec_runtime.fitting.choices import problem_of
from mixprec_runtime.fitting.errors import NothingServes
from mixprec_runtime.planning.portable import portable_choices
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import Workshop
from tests.runtime.fitting.zoo import read


@pytest.fixture
def mix(shop: Workshop) -> Mix:
    shop.checkpoints("base", "gptq", "fp8")
    return read(shop, "gptq", "fp8")


def choice(layer: WorkloadLayer, verdict: Verdict) -> KernelChoice:
    made = KernelChoice(engine="vllm", format=layer.format, shape=layer.shape, dtype="bfloat16", verdicts=(verdict,))
    return made.for_layers(layer)


def timed(layer: WorkloadLayer) -> KernelChoice:
    """A proved kernel that takes a nanosecond for each output, and twice as long in 16 bits."""
    seconds = layer.shape.out * 1e-9
    timings = (
        Timing(rows=64, seconds=1.0, plain_seconds=1.0),
        Timing(rows=1, seconds=seconds, plain_seconds=2 * seconds),
    )
    proof = Proof(kernel="quick", method="Method", fault=None, timings=timings)
    return choice(layer, Verdict(candidate="quick", tier=Tier.NATIVE, accepted=True, proof=proof))


def test_a_fused_unit_is_one_layer_and_16_bits_are_timed_beside_the_others(mix: Mix) -> None:
    def kernels(workload: Workload) -> Sequence[KernelChoice]:
        return [timed(layer) for layer in workload.layers if layer.format.kind is not FormatKind.PLAIN]

    problem = problem_of(mix, kernels=kernels)
    qkv = problem.unit("model.layers.0.self_attn.qkv_proj")
    assert {option.source: option.seconds for option in qkv.options} == pytest.approx(
        {"gptq": 64e-9, "fp8": 64e-9, "model": 128e-9}
    )
    chosen = dict.fromkeys((unit.name for unit in problem.units), "gptq")
    assert problem.seconds_of(chosen) == pytest.approx(2 * (64 + 32 + 128 + 32) * 1e-9)


def test_a_unit_whose_kernel_was_not_timed_has_no_time(mix: Mix) -> None:
    problem = problem_of(mix, kernels=portable_choices)
    assert {option.seconds for unit in problem.units for option in unit.options} == {None}
    assert not problem.left_out


@pytest.mark.parametrize("verdict", [
    Verdict(candidate="quick", tier=Tier.NATIVE, accepted=False, reasons=("needs a newer GPU",)),
    Verdict(candidate="none", tier=Tier.PLACEHOLDER, accepted=True, reasons=("needs a newer GPU",)),
])  # fmt: skip
def test_what_nothing_or_only_a_placeholder_serves_is_left_out_with_the_reason(mix: Mix, verdict: Verdict) -> None:
    def kernels(workload: Workload) -> Sequence[KernelChoice]:
        refused = [layer for layer in workload.layers if layer.format.kind is FormatKind.FP8]
        return [choice(layer, verdict) for layer in refused if layer.shape.inputs == 64]

    problem = problem_of(mix, kernels=kernels)
    down = problem.unit("model.layers.1.mlp.down_proj")
    assert {option.source for option in down.options} == {"model", "gptq"}
    assert {option.source for option in problem.units[0].options} == {"model", "gptq", "fp8"}
    assert {each.choices[0]: each.why for each in problem.left_out} == {
        (f"model.layers.{at}.mlp.down_proj", "fp8"): "no kernel serves fp8-channel here: needs a newer GPU"
        for at in range(2)
    }


def test_a_model_that_nothing_serves_is_refused_with_the_reasons(mix: Mix) -> None:
    refused = Verdict(candidate="quick", tier=Tier.NATIVE, accepted=False, reasons=("no such GPU",))
    with pytest.raises(NothingServes, match="no such GPU"):
        problem_of(mix, kernels=lambda workload: [choice(layer, refused) for layer in workload.layers])
