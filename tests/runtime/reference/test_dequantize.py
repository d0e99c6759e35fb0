"""Decoders, held against words and values worked out by hand from the layouts' sources."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the reference needs torch")

from mixprec_runtime.reference.dequantize import decode_awq, decode_channel, decode_gptq  # noqa: E402


def signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word


def test_gptq_word_by_word() -> None:
    # Eight inputs in one word; all eight outputs alike. Codes 0..7, stored zero point 2 means 3, scale 0.5.
    tensors = {
        "qweight": torch.full((1, 8), 0x76543210, dtype=torch.int32),
        "qzeros": torch.full((1, 1), 0x22222222, dtype=torch.int32),
        "scales": torch.full((1, 8), 0.5, dtype=torch.float16),
        "g_idx": torch.zeros(8, dtype=torch.int32),
    }
    expected = [0.5 * (code - 3) for code in range(8)]
    assert decode_gptq(tensors).tolist() == [expected] * 8


def test_gptq_follows_g_idx() -> None:
    tensors = {
        "qweight": torch.full((1, 8), signed(0x99999999), dtype=torch.int32),
        "qzeros": torch.full((2, 1), 0x77777777, dtype=torch.int32),
        "scales": torch.tensor([[1.0] * 8, [2.0] * 8], dtype=torch.float16),
        "g_idx": torch.tensor([0, 1, 0, 1, 1, 0, 0, 1], dtype=torch.int32),
    }
    assert decode_gptq(tensors)[0].tolist() == [1, 2, 1, 2, 2, 1, 1, 2]


def test_awq_word_by_word() -> None:
    # One input, eight outputs in one word: bits 0-3 output 0, bits 4-7 output 2, ... bits 16-19 output 1, ...
    tensors = {
        "qweight": torch.tensor([[0x75316420]], dtype=torch.int32),
        "qzeros": torch.tensor([[0x11111111]], dtype=torch.int32),
        "scales": torch.full((1, 8), 2.0, dtype=torch.float16),
    }
    assert decode_awq(tensors)[:, 0].tolist() == [2.0 * (code - 1) for code in range(8)]


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_channel_scales_belong_to_outputs(dtype: torch.dtype) -> None:
    tensors = {
        "weight": torch.tensor([[1.0, -2.0], [3.0, 4.0]]).to(dtype),
        "weight_scale": torch.tensor([[0.5], [0.25]], dtype=torch.bfloat16),
    }
    assert decode_channel(tensors).tolist() == [[0.5, -1.0], [0.75, 1.0]]
