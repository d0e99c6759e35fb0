"""Which of mixprec's kernels take a layer is decided without torch, and every refusal says why."""

from __future__ import annotations

import pickle

import pytest

from mixprec_doctor.kernels.portable import (
    INT4_GROUPS,
    PORTABLE,
    UnknownPortableKernel,
    find_portable,
    int4_group,
    refusals,
)
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.workload import LinearShape

GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True)
FP8 = Format(kind=FormatKind.FP8, bits=8, scale="channel", activation=Activation.DYNAMIC)
INT8 = Format(kind=FormatKind.INT8, bits=8, scale="channel", activation=Activation.DYNAMIC)


def shape(out: int, inputs: int, *, of: int | None = None) -> LinearShape:
    full = of or inputs
    return LinearShape(inputs=inputs, outputs=(out,), full_inputs=full, full_outputs=(out,), partition="row")


def refused(
    name: str,
    form: Format,
    layer: LinearShape | None = None,
    *,
    dtype: str = "bfloat16",
    device: str = "cuda",
    capability: int | None = 90,
    operators: set[str] | None = None,
) -> str:
    found = refusals(
        find_portable(name), form, layer or shape(4096, 4096), dtype=dtype, device=device, capability=capability,
        operators=operators,
    )  # fmt: skip
    return "; ".join(found)


def test_a_gpu_of_today_takes_each_format_in_its_own_kernel() -> None:
    assert [refused(name, form) for name, form in (
        ("portable int4", GPTQ), ("portable int8", INT8), ("portable fp8", FP8), ("portable tiles", FP8),
    )] == [""] * 4  # fmt: skip


@pytest.mark.parametrize("words, name, form, given", [
    ("needs compute capability 8.0, this GPU has 7.5", "portable int4", GPTQ, {"capability": 75}),
    ("needs compute capability 8.9, this GPU has 8.0", "portable fp8", FP8, {"capability": 80}),
    ("takes activations of bfloat16, not of float16", "portable int4", GPTQ, {"dtype": "float16"}),
    ("works on cuda, not on cpu", "portable fp8", FP8, {"device": "cpu"}),
    ("works on cpu and cuda, not on rocm", "portable int8", INT8, {"device": "rocm"}),
    ("the installed torch has no _scaled_mm", "portable fp8", FP8, {"operators": set()}),
    ("needs inputs divisible by 16, this layer has 4104", "portable fp8", FP8, {"layer": shape(4096, 4104)}),
    ("needs outputs divisible by 8, this layer has 12", "portable int8", INT8, {"layer": shape(12, 4096)}),
    ("is not for fp8", "portable int4", FP8, {}),
    ("has weights of 4 bits, not of 8", "portable int4", Format(kind=FormatKind.GPTQ, bits=8, group=128), {}),
    ("not of 48", "portable int4", Format(kind=FormatKind.GPTQ, bits=4, group=48), {"layer": shape(4096, 4800)}),
    ("not per block", "portable fp8", Format(kind=FormatKind.FP8, bits=8, scale="block", activation=Activation.DYNAMIC), {}),
    ("rounds its inputs, which this checkpoint does not ask for (none)", "portable fp8",
     Format(kind=FormatKind.FP8, bits=8, scale="channel"), {}),
    ("cannot sort the inputs of an act-order layer", "portable int4",
     Format(kind=FormatKind.GPTQ, bits=4, group=128, act_order=True), {"layer": shape(4096, 2048, of=4096)}),
    ("has groups of a multiple of 32 inputs, not of 48", "portable int8 groups",
     Format(kind=FormatKind.GPTQ, bits=8, group=48), {"layer": shape(4096, 4800), "device": "cpu"}),
    ("cannot sort the inputs", "portable int8 groups",
     Format(kind=FormatKind.GPTQ, bits=8, group=128, act_order=True),
     {"layer": shape(4096, 2048, of=4096), "device": "cpu"}),
    ("does not know the variant gemv of awq", "portable tiles",
     Format(kind=FormatKind.AWQ, bits=4, group=128, variant="gemv"), {}),
])  # fmt: skip
def test_a_refusal_says_why(words: str, name: str, form: Format, given: dict[str, object]) -> None:
    assert words in refused(name, form, **given)  # type: ignore[arg-type]


def test_all_reasons_are_given_at_once() -> None:
    found = refused("portable int4", GPTQ, shape(12, 4096), dtype="float16", capability=75)
    assert found.count(";") == 2


def test_what_is_not_known_refuses_nothing() -> None:
    assert refused("portable fp8", FP8, capability=None, operators=None) == ""


@pytest.mark.parametrize("group, inputs, wanted", [
    (128, 4096, 128), (None, 576, 64), (None, 1536, 256), (512, 4096, 256), (96, 960, 32), (48, 4800, None), (16, 64, None),
])  # fmt: skip
def test_a_group_is_made_of_those_that_the_operator_knows(group: int | None, inputs: int, wanted: int | None) -> None:
    found = int4_group(group, inputs)
    assert found == wanted and (found is None or found in INT4_GROUPS)


def test_tiles_come_last_and_take_every_packed_format_everywhere() -> None:
    tiles = PORTABLE[-1]
    assert tiles.name == "portable tiles" and tiles.kinds == frozenset(FormatKind) - {FormatKind.PLAIN}
    assert set(tiles.demands) == {"cpu", "cuda", "rocm"}


def test_an_unknown_kernel_names_those_that_there_are_and_can_be_pickled() -> None:
    with pytest.raises(UnknownPortableKernel) as raised:
        find_portable("portable int5")
    assert "portable tiles" in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301


def test_a_rank_that_would_share_a_scale_with_another_is_refused() -> None:
    block = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(128, 128), activation=Activation.DYNAMIC)
    column = LinearShape(inputs=512, outputs=(192,), full_inputs=512, full_outputs=(384,), partition="column")
    assert "cannot hold 192 outputs of a rank where 128 share a scale" in refused("portable tiles", block, column)
    assert "cannot hold 192 inputs of a rank where 128" in refused("portable tiles", block, shape(128, 192, of=384))
    assert "cannot hold 192 inputs of a rank where 128" in refused("portable tiles", GPTQ, shape(128, 192, of=384))
    assert refused("portable tiles", block, shape(192, 192)) == ""
    assert refused("portable tiles", GPTQ, shape(128, 256, of=512)) == ""
