"""The AutoGPTQ and AutoAWQ layouts: shapes, conventions, and agreement with the independent float32 decoders."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="packing needs torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.packing.awq import awq_tensors  # noqa: E402
from mixprec_runtime.packing.gptq import gptq_tensors  # noqa: E402
from mixprec_runtime.packing.grids import CodedLinear, Grid, encode, fit_grid  # noqa: E402
from mixprec_runtime.reference.dequantize import decode_awq, decode_gptq  # noqa: E402

SHAPES = {
    "outputs": st.integers(1, 4).map(lambda words: words * 8),
    "groups": st.integers(1, 4),
    "group_size": st.sampled_from([8, 32, 64]),
    "seed": st.integers(0, 99),
}


def coded(outputs: int, groups: int, group_size: int, seed: int, *, symmetric: bool) -> CodedLinear:
    weight = torch.randn(outputs, groups * group_size, generator=torch.Generator().manual_seed(seed))
    return encode(weight, fit_grid(weight, group_size=group_size, symmetric=symmetric))


@given(**SHAPES)
def test_gptq_means_what_was_packed(outputs: int, groups: int, group_size: int, seed: int) -> None:
    linear = coded(outputs, groups, group_size, seed, symmetric=True)
    tensors = gptq_tensors(linear)
    inputs = groups * group_size
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()} == {
        "qweight": ((inputs // 8, outputs), torch.int32),
        "qzeros": ((groups, outputs // 8), torch.int32),
        "scales": ((groups, outputs), torch.float16),
        "g_idx": ((inputs,), torch.int32),
    }
    assert torch.equal(decode_gptq(tensors), linear.dequantized())


@given(**SHAPES)
def test_awq_means_what_was_packed(outputs: int, groups: int, group_size: int, seed: int) -> None:
    linear = coded(outputs, groups, group_size, seed, symmetric=False)
    tensors = awq_tensors(linear)
    inputs = groups * group_size
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()} == {
        "qweight": ((inputs, outputs // 8), torch.int32),
        "qzeros": ((groups, outputs // 8), torch.int32),
        "scales": ((groups, outputs), torch.float16),
    }
    assert torch.equal(decode_awq(tensors), linear.dequantized())


def test_gptq_stores_symmetric_zero_points_as_seven() -> None:
    tensors = gptq_tensors(coded(8, 2, 8, 0, symmetric=True))
    assert tensors["qzeros"].tolist() == [[0x77777777], [0x77777777]]


def test_gptq_refuses_a_zero_point_it_cannot_store() -> None:
    grid = Grid(scales=torch.ones(8, 1), zeros=torch.zeros(8, 1, dtype=torch.uint8), group_size=8)
    with pytest.raises(ValueError, match="minus one"):
        gptq_tensors(CodedLinear(codes=torch.zeros(8, 8, dtype=torch.uint8), grid=grid))
