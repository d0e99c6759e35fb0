"""Every portable kernel gives the product of the float32 weight, for every layer that its facts accept."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="kernels need torch")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_doctor.kernels.portable import PORTABLE, UnknownPortableKernel, refusals  # noqa: E402
from mixprec_doctor.records.format import Format, FormatKind  # noqa: E402
from mixprec_runtime.kernels.portable import apply, prepare, state_bytes  # noqa: E402
from mixprec_runtime.kernels.weights import grouped_weight  # noqa: E402
from tests.runtime.kernels.drawn import Layer, bound, layers, make_layer  # noqa: E402

OPERATORS = {name for demands in (k.demands.get("cpu") for k in PORTABLE) if demands for name in demands.operators}
GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)
INT8 = Format(kind=FormatKind.INT8, bits=8, scale="channel")
FP8_BLOCKS = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(32, 64))


def accepted(layer: Layer, dtype: torch.dtype) -> list[str]:
    return [
        kernel.name
        for kernel in PORTABLE
        if not refusals(
            kernel, layer.format, layer.shape, dtype=str(dtype).removeprefix("torch."), device="cpu",
            capability=None, operators=OPERATORS,
        )
    ]  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    layers(),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    st.sampled_from([(1,), (0,), (5,), (2, 3), ()]),
    st.booleans(),
)
def test_a_kernel_that_accepts_a_layer_gives_its_product(
    layer: Layer, dtype: torch.dtype, batch: tuple[int, ...], biased: bool
) -> None:
    names = accepted(layer, dtype)
    assert names[-1] == "portable tiles"
    x = torch.randn(*batch, layer.inputs, generator=torch.Generator().manual_seed(7)).to(dtype)
    bias = torch.arange(sum(layer.widths), dtype=torch.float32).to(dtype) / 64 if biased else None
    wanted = x.to(torch.float32) @ layer.weight.t()
    allowed = bound(layer, x, dtype)
    if bias is not None:
        wanted = wanted + bias.to(torch.float32)
        allowed = allowed + 2 * torch.finfo(dtype).eps * wanted.abs()
    for name in names:
        state = prepare(name, layer.format, layer.fused, layer.widths, dtype)
        found = apply(name, x, state, bias)
        assert (found.shape, found.dtype) == ((*batch, sum(layer.widths)), dtype)
        over = (found.to(torch.float32) - wanted).abs() - allowed
        assert not over.numel() or float(over.max()) <= 0, name


@settings(max_examples=25, deadline=None)
@given(layers())
def test_weights_stay_compressed(layer: Layer) -> None:
    """Codes in their bits; for each output and group 4 bytes of scale, and one of zero point; the order of inputs."""
    out, held = sum(layer.widths), grouped_weight("test", layer.format, layer.fused, layer.widths)
    groups = out * max(held.scales.shape[1], layer.inputs // 32, 1)
    for name in accepted(layer, torch.bfloat16):
        state = prepare(name, layer.format, layer.fused, layer.widths, torch.bfloat16)
        assert state_bytes(state) <= layer.weight.numel() * layer.format.bits // 8 + 5 * groups + 4 * layer.inputs


@pytest.mark.parametrize("form, kernel", [
    (GPTQ, "portable int4"), (INT8, "portable int8"), (FP8_BLOCKS, "portable tiles"),
    (Format(kind=FormatKind.GPTQ, bits=8, group=64, symmetric=False, act_order=True), "portable int8 groups"),
])  # fmt: skip
def test_applying_is_one_graph_for_any_number_of_rows(form: Format, kernel: str) -> None:
    layer = make_layer(form, (48, 32), 128)
    state = prepare(kernel, form, layer.fused, layer.widths, torch.bfloat16)
    compiled = torch.compile(lambda x: apply(kernel, x, state), backend="eager", fullgraph=True, dynamic=True)
    for rows in (3, 7):
        x = torch.randn(rows, 128).to(torch.bfloat16)
        assert compiled(x).equal(apply(kernel, x, state))


def test_zero_points_of_every_code_are_subtracted() -> None:
    form = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=False)
    layer = make_layer(form, (64,), 64)
    every = torch.arange(16).repeat(8).reshape(2, 64)  # stored ones: zero points minus one, which wrap at 15
    stored = (every.reshape(2, 8, 8) << torch.arange(0, 32, 4)).sum(-1).to(torch.int32)
    fused = {**layer.fused, "qzeros": stored}
    x = torch.eye(64)
    scales = layer.fused["scales"].to(torch.float32).repeat_interleave(32, 0)
    codes = (layer.fused["qweight"][:, None, :] >> torch.arange(0, 32, 4)[None, :, None] & 15).reshape(64, 64)
    wanted = (codes - ((every + 1) & 15).repeat_interleave(32, 0)) * scales
    for kernel in ("portable int4", "portable tiles"):
        state = prepare(kernel, form, fused, (64,), torch.float32)
        torch.testing.assert_close(apply(kernel, x, state), wanted, rtol=1e-6, atol=1e-6)


def test_fused_parts_keep_the_scale_of_each() -> None:
    form = Format(kind=FormatKind.FP8, bits=8, scale="tensor")
    ones = torch.ones(4, 16).to(torch.float8_e4m3fn)
    fused = {"weight": ones, "weight_scale": torch.tensor([1.0, 10.0])}
    state = prepare("portable tiles", form, fused, (3, 1), torch.bfloat16)
    assert apply("portable tiles", torch.ones(16, dtype=torch.bfloat16), state).tolist() == [16, 16, 16, 160]


def test_a_kernel_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(UnknownPortableKernel, match="portable magic"):
        prepare("portable magic", GPTQ, {}, (8,), torch.bfloat16)
