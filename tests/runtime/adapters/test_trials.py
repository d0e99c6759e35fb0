"""Trials of one layer, with a made-up engine: candidates in turn until one gives right numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="layers are tried with torch")

from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_doctor.records.workload import LinearShape  # noqa: E402
from mixprec_runtime.adapters.judging import bound_of, judge  # noqa: E402
from mixprec_runtime.adapters.layers import TrialLayer, read_layer  # noqa: E402
from mixprec_runtime.adapters.trials import NoKernel, Tried, run_trials  # noqa: E402

INT8 = Format(
    kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True, activation=Activation.DYNAMIC
)  # fmt: skip
SHAPE = LinearShape(inputs=128, outputs=(64, 32), full_inputs=128, full_outputs=(64, 32), partition="column")
RAW = {
    "number": 7, "format": INT8.to_json(), "shape": SHAPE.to_json(), "folder": "", "unit": [], "parts": [],
    "tier": "native", "without": [],
}  # fmt: skip
Run = Callable[[Any], Any]


class MadeUp:
    """An engine with kernels that do what a test says, in their order."""

    def __init__(self, **kernels: Callable[[TrialLayer], Run]) -> None:
        self.kernels = kernels
        self.device = torch.device("cpu")
        self.dtype = torch.bfloat16
        self.asked: list[list[str]] = []

    def native(self, layer: TrialLayer, without: Sequence[str]) -> Tried:
        self.asked.append(list(without))
        for name, kernel in self.kernels.items():
            if name not in without and not name.startswith("portable"):
                return tried(name, kernel(layer))
        raise NoKernel("Failed to find a kernel")

    def portable(self, layer: TrialLayer, kernel: str) -> Tried:
        return tried(kernel, self.kernels[kernel](layer))

    def refusals(self, _: TrialLayer) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield "portable refused", ("is for another device",)
        for name in self.kernels:
            if name.startswith("portable"):
                yield name, ()

    def plain(self, shape: LinearShape) -> Tried:
        weight = torch.zeros(shape.out, shape.inputs, dtype=torch.bfloat16)
        return tried("plain", lambda x: x @ weight.t())


def tried(kernel: str, run: Run) -> Tried:
    return Tried(run=run, finish=lambda: None, kernel=lambda: kernel, method=lambda: "Made", held_bytes=lambda: 1)


def right(layer: TrialLayer) -> Run:
    return lambda x: (x.to(torch.float32) @ layer.weight.t()).to(x.dtype)


def off(layer: TrialLayer) -> Run:
    return lambda x: right(layer)(x) * 1.2


def narrow(layer: TrialLayer) -> Run:
    return lambda x: right(layer)(x)[:, 1:]


def infinite(layer: TrialLayer) -> Run:
    return lambda x: right(layer)(x) / 0


def raising(_: TrialLayer) -> Run:
    def run(x: Any) -> Any:
        raise RuntimeError("no operator")

    return run


def saturating(layer: TrialLayer) -> Run:
    """Sums of two products of 8-bit numbers cut off at 16 bits, as processors without VNNI have it."""
    scale = layer.weight.abs().amax(dim=1) / 127
    codes = torch.round(layer.weight / scale[:, None])

    def run(x: Any) -> Any:
        wide = x.to(torch.float32)
        reach = wide.abs().amax(dim=1, keepdim=True) / 127
        products = (torch.round(wide / reach) + 128)[:, None, :] * codes[None]
        pairs = products.reshape(*products.shape[:-1], -1, 2).sum(-1).clamp(-(2**15), 2**15 - 1).sum(-1)
        return ((pairs - 128 * codes.sum(-1)) * reach * scale).to(x.dtype)

    return run


def told(engine: MadeUp, **raw: object) -> list[tuple[str, str | None]]:
    """Kernel and fault of each proof."""
    answers = list(run_trials([{**RAW, **raw}], engine))
    assert all(answer["layer"] == 7 for answer in answers)
    assert answers[-1]["stage"] == "end"
    return [(each["proof"]["kernel"], each["proof"]["fault"]) for each in answers if each["stage"] == "proof"]


def test_a_kernel_that_is_right_ends_the_search() -> None:
    engine = MadeUp(A=right, B=raising)
    assert told(engine) == [("A", None)]
    assert engine.asked == [[]]


@pytest.mark.parametrize("wrong, words", [
    (off, "is wrong by 20"), (narrow, "95"), (infinite, "not finite"), (raising, "RuntimeError: no operator"),
    (saturating, "is wrong by"),
])  # fmt: skip
def test_a_kernel_that_is_not_right_is_left_out_and_the_next_is_tried(
    wrong: Callable[[TrialLayer], Run], words: str
) -> None:
    engine = MadeUp(A=wrong, B=right)
    (_, fault), second = told(engine)
    assert fault is not None
    assert words in fault
    assert second == ("B", None)
    assert engine.asked == [[], ["A"]]


def test_when_the_engine_has_none_left_the_portable_ones_are_tried() -> None:
    engine = MadeUp(A=off, **{"portable tiles": right})
    assert [kernel for kernel, _ in told(engine)] == ["A", "portable tiles"]
    stages = [answer["stage"] for answer in run_trials([RAW], engine)]
    assert stages.count("none") == 1
    assert stages.count("refused") == 1


def slow(layer: TrialLayer) -> Run:
    def run(x: Any) -> Any:
        time.sleep(0.2)
        return right(layer)(x)

    return run


def test_a_kernel_that_works_and_takes_far_longer_than_16_bits_is_held_against_a_portable_one() -> None:
    engine = MadeUp(A=slow, B=right, **{"portable tiles": right, "portable more": right})
    assert told(engine) == [("A", None), ("portable tiles", None)]


def test_each_step_is_told_before_it_is_taken() -> None:
    stream = run_trials([RAW], MadeUp(A=raising, B=right))
    begun = []
    for answer in stream:
        if answer["stage"] == "begin":
            begun.append(answer["kernel"])
        if answer["stage"] == "proof":
            assert begun[-1] == answer["proof"]["kernel"]
    assert begun == [None, "A", None, "B"]


def test_what_is_to_be_left_out_is_not_tried() -> None:
    engine = MadeUp(A=right, B=right)
    assert told(engine, without=["A"]) == [("B", None)]
    engine = MadeUp(A=right, **{"portable one": right, "portable two": right})
    assert told(engine, tier="portable", without=["portable one"]) == [("portable two", None)]


def test_a_layer_that_cannot_be_read_says_why() -> None:
    missing = {"suffix": "weight", "dtype": "I8", "shape": [1], "file": "/none", "begin": 0, "end": 1}
    (answer,) = run_trials([{**RAW, "parts": [[missing]]}], MadeUp(A=right))
    assert answer["stage"] == "unreadable"
    assert "/none" in answer["fault"]


def test_a_right_result_has_times_of_both_sizes_and_no_more_than_a_wrong_one_none() -> None:
    answers = list(run_trials([RAW], MadeUp(A=off, B=right)))
    wrong, good = (each["proof"] for each in answers if each["stage"] == "proof")
    assert wrong["timings"] == []
    assert [each["rows"] for each in good["timings"]] == [1, 256]
    assert all(each["seconds"] > 0 and each["plain_seconds"] > 0 for each in good["timings"])


def test_a_bound_is_wider_where_inputs_may_be_rounded() -> None:
    int4 = Format(kind=FormatKind.GPTQ, bits=4, group=64)
    fp8 = Format(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.DYNAMIC)
    assert bound_of(int4) < bound_of(INT8) < bound_of(fp8)


def test_inputs_stay_within_the_reach_of_a_static_scale() -> None:
    seen = []

    def run(x: Any) -> Any:
        seen.append(float(x.abs().max()))
        return x

    judge(run, torch.eye(64), None, form=INT8, dtype=torch.float32, reach=0.5)
    assert max(seen) == 0.5


def test_a_static_layer_reaches_as_far_as_its_narrowest_part() -> None:
    static = replace(INT8, activation=Activation.STATIC)
    layer = read_layer({**RAW, "format": static.to_json()}, torch.bfloat16, torch.device("cpu"))
    assert layer.reach == pytest.approx(min(float(part["input_scale"]) for part in layer.parts) * 127)
