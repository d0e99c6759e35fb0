"""Float32 weights of every layout, against words packed bit by bit and against compressed-tensors' own reading."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the reference needs torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_runtime.packing.announced import quantization_config  # noqa: E402
from mixprec_runtime.packing.generated import generated_layer, generated_weight  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402
from mixprec_runtime.reference.errors import IncompleteLayer, UnknownLayout  # noqa: E402


def word(codes: list[int], bits: int) -> int:
    """Codes as one int32, the first in the lowest bits."""
    found = sum(code << (bits * at) for at, code in enumerate(codes))
    return found - 2**32 if found >= 2**31 else found


def words(rows: list[list[int]], bits: int) -> torch.Tensor:
    """Each row's neighbours in words, bit by bit."""
    per = 32 // bits
    return torch.tensor(
        [[word(row[at : at + per], bits) for at in range(0, len(row), per)] for row in rows], dtype=torch.int32
    )


def transposed(rows: list[list[int]]) -> list[list[int]]:
    return [list(column) for column in zip(*rows, strict=True)]


@st.composite
def coded(draw: Any) -> tuple[int, list[list[int]], list[list[int]], list[list[float]], list[int]]:
    """Bits, codes ``[out][in]``, zero points and scales ``[out][groups]``, the group of each input."""
    bits, out, groups = draw(st.sampled_from([4, 8])), 8 * draw(st.integers(1, 2)), draw(st.integers(1, 3))
    code = st.integers(0, 2**bits - 1)
    of_groups = st.lists(code, min_size=groups, max_size=groups)
    codes = draw(st.lists(st.lists(code, min_size=8 * groups, max_size=8 * groups), min_size=out, max_size=out))
    zeros = draw(st.lists(of_groups, min_size=out, max_size=out))
    scale = st.sampled_from([0.25, 0.5, 1.0, 2.0])
    scales = draw(st.lists(st.lists(scale, min_size=groups, max_size=groups), min_size=out, max_size=out))
    g_idx = draw(st.permutations([at // 8 for at in range(8 * groups)]))
    return bits, codes, zeros, scales, g_idx


def meant(codes: Any, zeros: Any, scales: Any, g_idx: list[int]) -> torch.Tensor:
    """The weight, number by number."""
    return torch.tensor([
        [scales[o][g] * (codes[o][i] - zeros[o][g]) for i, g in enumerate(g_idx)] for o in range(len(codes))
    ])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(coded(), st.sampled_from([None, "gptq_v2"]))
def test_gptq_means_what_was_packed(drawn: Any, variant: str | None) -> None:
    bits, codes, zeros, scales, g_idx = drawn
    offset = 1 if variant is None else 0
    stored = [[(zero - offset) % 2**bits for zero in row] for row in zeros]
    tensors = {
        "qweight": words(codes, bits).t(),
        "qzeros": words(transposed(stored), bits),
        "scales": torch.tensor(scales).t().to(torch.float16),
        "g_idx": torch.tensor(g_idx, dtype=torch.int32),
    }
    form = Format(kind=FormatKind.GPTQ, bits=bits, group=8, symmetric=False, variant=variant)
    assert dequantize(form, tensors).equal(meant(codes, zeros, scales, g_idx))


@settings(max_examples=40, deadline=None)
@given(coded())
def test_awq_means_what_was_packed(drawn: Any) -> None:
    bits, codes, zeros, scales, _ = drawn
    order = (0, 2, 4, 6, 1, 3, 5, 7) if bits == 4 else (0, 2, 1, 3)

    def interleaved(rows: list[list[int]]) -> torch.Tensor:
        per = 32 // bits
        return words([[row[at + place] for at in range(0, len(row), per) for place in order] for row in rows], bits)

    tensors = {
        "qweight": interleaved(transposed(codes)),
        "qzeros": interleaved(transposed(zeros)),
        "scales": torch.tensor(scales).t().to(torch.float16),
    }
    form = Format(kind=FormatKind.AWQ, bits=bits, group=8, symmetric=False)
    in_order = [at // 8 for at in range(len(codes[0]))]
    assert dequantize(form, tensors).equal(meant(codes, zeros, scales, in_order))


@settings(max_examples=40, deadline=None)
@given(coded(), st.booleans(), st.booleans())
def test_packed_means_what_was_packed(drawn: Any, symmetric: bool, ordered: bool) -> None:
    bits, codes, zeros, scales, g_idx = drawn
    g_idx = g_idx if ordered else [at // 8 for at in range(len(codes[0]))]
    zeros = [[2 ** (bits - 1)] * len(row) for row in zeros] if symmetric else zeros
    tensors = {
        "weight_packed": words(codes, bits),
        "weight_scale": torch.tensor(scales).to(torch.bfloat16),
        "weight_shape": torch.tensor([len(codes), len(codes[0])]),
        **({} if symmetric else {"weight_zero_point": words(transposed(zeros), bits).t()}),
        **({"weight_g_idx": torch.tensor(g_idx, dtype=torch.int32)} if ordered else {}),
    }
    form = Format(kind=FormatKind.PACKED, bits=bits, group=8, symmetric=symmetric, act_order=ordered)
    assert dequantize(form, tensors).equal(meant(codes, zeros, scales, g_idx))


K, A = FormatKind, Activation
OURS = [
    *(
        Format(kind=K.PACKED, bits=bits, group=group, symmetric=symmetric, act_order=ordered)
        for bits in (4, 8) for group, ordered in ((32, False), (32, True), (None, False)) for symmetric in (True, False)
    ),
    *(Format(kind=kind, bits=8, scale=scale) for kind in (K.FP8, K.INT8) for scale in ("tensor", "channel")),
    Format(kind=K.NVFP4, bits=4, group=16),
    Format(kind=K.MXFP4, bits=4, group=32),
]  # fmt: skip


@pytest.mark.parametrize("form", OURS, ids=lambda form: f"{form.name} {form.details}")
def test_compressed_tensors_reads_the_same_numbers(form: Format) -> None:
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    config = quantization_config(form)
    assert config is not None
    group = config["config_groups"]["group_0"]
    (tensors,) = generated_layer(form, (32,), 128, seed=4)
    scheme = QuantizationScheme(**group)
    wide = {
        name: tensor.to(torch.float32) if name in ("weight_scale", "weight_global_scale") and form.kind is not K.MXFP4 else tensor
        for name, tensor in tensors.items()
    }  # fmt: skip
    compressor = BaseCompressor.get_value_from_registry(str(config["format"]))
    theirs = compressor.decompress(wide, scheme)["weight"].to(torch.float32)
    # It computes four-bit floats in bfloat16.
    tolerance = 2.0**-7 if form.kind is K.NVFP4 else 1e-6
    torch.testing.assert_close(dequantize(form, tensors), theirs, rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize("kind", [K.FP8, K.INT8])
def test_compressed_tensors_reads_blocks_alike(kind: FormatKind) -> None:
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")
    from compressed_tensors.quantization.lifecycle.forward import dequantize as theirs

    form = Format(kind=kind, bits=8, scale="block", block=(16, 32))
    (tensors,) = generated_layer(form, (64,), 128)
    found = theirs(x_q=tensors["weight"], scale=tensors["weight_scale_inv"], dtype=torch.float32)
    torch.testing.assert_close(dequantize(form, tensors), found)


def test_modelopt_s_second_scale_multiplies() -> None:
    form = Format(kind=K.NVFP4, bits=4, group=16)
    (tensors,) = generated_layer(form, (8,), 32)
    theirs = {
        "weight": tensors["weight_packed"], "weight_scale": tensors["weight_scale"],
        "weight_scale_2": 1 / tensors["weight_global_scale"][0],
    }  # fmt: skip
    torch.testing.assert_close(dequantize(form, theirs), dequantize(form, tensors))


@pytest.mark.parametrize("form", [
    *OURS,
    *(Format(kind=K.GPTQ, bits=b, group=32, symmetric=s, act_order=o) for b in (4, 8) for s in (True, False) for o in (True, False)),
    Format(kind=K.AWQ, bits=4, group=32, symmetric=False),
    Format(kind=K.FP8, bits=8, scale="block", block=(128, 128), activation=A.DYNAMIC),
    Format(kind=K.FP8, bits=8, scale="tensor", activation=A.STATIC),
    Format(kind=K.PLAIN, bits=16, dtype="BF16"),
], ids=lambda form: f"{form.name} {form.details}")  # fmt: skip
def test_a_generated_layer_is_a_random_weight_rounded_to_nearest(form: Format) -> None:
    """Steps of the grid are ranges over levels; a wrong word, order or zero point would be off by whole weights."""
    whole = torch.cat([dequantize(form, part) for part in generated_layer(form, (16, 8), 128, seed=9)])
    again = torch.cat([dequantize(form, part) for part in generated_layer(form, (16, 8), 128, seed=9)])
    assert whole.equal(again) and whole.shape == (24, 128)
    plain = _as_drawn((16, 8), 128, seed=9)
    allowed = {4: 0.14, 8: 0.04, 16: 0.004}[form.bits]
    assert float((whole - plain).norm() / plain.norm()) < allowed


def _as_drawn(outputs: tuple[int, ...], inputs: int, *, seed: int) -> torch.Tensor:
    """The weights before rounding: those of a plain layer of 32 bits."""
    parts = generated_layer(Format(kind=K.PLAIN, bits=32, dtype="F32"), outputs, inputs, seed=seed)
    assert generated_weight(4, 4, seed=seed).std() > 0
    return torch.cat([part["weight"] for part in parts])


def test_static_activations_come_with_their_scale() -> None:
    (tensors,) = generated_layer(Format(kind=K.FP8, bits=8, scale="tensor", activation=A.STATIC), (8,), 16)
    assert 0 < float(tensors["input_scale"]) < 1


def test_a_missing_tensor_and_an_unknown_order_are_refused() -> None:
    form = Format(kind=K.GPTQ, bits=4, group=32)
    (tensors,) = generated_layer(form, (8,), 32)
    with pytest.raises(IncompleteLayer, match="qzeros"):
        dequantize(form, {name: tensor for name, tensor in tensors.items() if name != "qzeros"})
    with pytest.raises(UnknownLayout, match="marlin"):
        dequantize(Format(kind=K.GPTQ, bits=4, group=32, variant="marlin"), tensors)
