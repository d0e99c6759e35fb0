"""The float32 reading of GPTQ and AWQ words is what the engine's own packers and reference say."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.format import Format, FormatKind

pytestmark = pytest.mark.engine

OUT, IN, GROUP = 64, 256, 64


@pytest.mark.parametrize("bits", [4, 8])
def test_gptq_words_of_vllm_mean_what_vllm_says(bits: int) -> None:
    utils = pytest.importorskip("vllm.model_executor.layers.quantization.utils.quant_utils", reason="no vLLM is here")
    import torch
    from vllm.scalar_type import scalar_types

    from mixprec_runtime.reference.dequantize import dequantize

    kind = scalar_types.uint4b8 if bits == 4 else scalar_types.uint8b128
    weight = torch.randn(IN, OUT, generator=torch.Generator().manual_seed(2))
    meant, codes, scales, _ = utils.quantize_weights(weight, kind, GROUP)
    tensors = {
        "qweight": utils.gptq_pack(codes, bits, IN, OUT),
        "qzeros": torch.zeros(IN // GROUP, OUT * bits // 32, dtype=torch.int32),
        "scales": scales,
        "g_idx": torch.arange(IN, dtype=torch.int32) // GROUP,
    }
    form = Format(kind=FormatKind.GPTQ, bits=bits, group=GROUP, symmetric=True)
    torch.testing.assert_close(dequantize(form, tensors), meant.t())


@pytest.mark.parametrize("bits", [4, 8])
def test_awq_words_of_vllm_mean_what_vllm_says(bits: int) -> None:
    utils = pytest.importorskip("vllm.model_executor.layers.quantization.utils.quant_utils", reason="no vLLM is here")
    import torch
    from vllm.scalar_type import scalar_types

    from mixprec_runtime.reference.dequantize import dequantize

    kind = scalar_types.uint4 if bits == 4 else scalar_types.uint8
    weight = torch.randn(IN, OUT, generator=torch.Generator().manual_seed(2))
    meant, codes, scales, zeros = utils.quantize_weights(weight, kind, GROUP, zero_points=True)
    tensors = {
        "qweight": utils.awq_pack(codes, bits, IN, OUT),
        "qzeros": utils.awq_pack(zeros, bits, IN // GROUP, OUT),
        "scales": scales,
    }
    form = Format(kind=FormatKind.AWQ, bits=bits, group=GROUP, symmetric=False)
    torch.testing.assert_close(dequantize(form, tensors), meant.t())
