"""Portable kernels on a GPU: the product of the float32 weight, also out of a CUDA graph; left out where there is none."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="kernels need torch")
if not torch.cuda.is_available():
    pytest.skip("no GPU is there", allow_module_level=True)

from mixprec_doctor.kernels.portable import PORTABLE, refusals  # noqa: E402
from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_runtime.kernels.portable import apply, prepare  # noqa: E402
from tests.runtime.kernels.drawn import Layer, make_layer  # noqa: E402

K, A = FormatKind, Activation
FORMATS = [
    *(
        Format(kind=kind, bits=bits, group=group, symmetric=symmetric, act_order=ordered)
        for kind in (K.GPTQ, K.PACKED) for bits in (4, 8) for group in (32, 64, 128, 256)
        for symmetric in (True, False) for ordered in (True, False)
    ),
    *(Format(kind=K.AWQ, bits=4, group=group, symmetric=False) for group in (32, 128)),
    *(
        Format(kind=kind, bits=8, scale=scale, block=(128, 128), activation=activation)
        for kind in (K.FP8, K.INT8) for scale in ("tensor", "channel", "block") for activation in A
    ),
    Format(kind=K.NVFP4, bits=4, group=16),
    Format(kind=K.MXFP4, bits=4, group=32),
]  # fmt: skip
ROUNDED = {"portable fp8": 0.05, "portable int8": 0.02}
"""Relative errors of kernels that round their inputs to 8 bits; 0.026 and 0.008 are what rounding costs."""


def accepted(layer: Layer, dtype: torch.dtype) -> list[str]:
    major, minor = torch.cuda.get_device_capability()
    return [
        kernel.name
        for kernel in PORTABLE
        if not refusals(
            kernel, layer.format, layer.shape, dtype=str(dtype).removeprefix("torch."), device="cuda",
            capability=10 * major + minor, operators=None,
        )
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.name} {form.details}")
def test_a_kernel_that_accepts_a_layer_gives_its_product(form: Format, dtype: torch.dtype) -> None:
    for widths, inputs in (((256, 64, 64), 512), ((48,), 256), ((16, 1040), 768)):
        layer = make_layer(form, widths, inputs)
        fused = {name: tensor.cuda() for name, tensor in layer.fused.items()}
        weight = layer.weight.cuda()
        for name in accepted(layer, dtype):
            state = prepare(name, form, fused, widths, dtype)
            for batch in ((1,), (0,), (17,), (2, 3), (256,)):
                x = torch.randn(*batch, inputs, device="cuda").to(dtype)
                found, wanted = apply(name, x, state).to(torch.float32), x.to(torch.float32) @ weight.t()
                assert found.shape == wanted.shape
                if found.numel():
                    error = float((found - wanted).norm() / wanted.norm())
                    assert error < ROUNDED.get(name, 0.006), (name, widths, batch, error)


@pytest.mark.parametrize("form", FORMATS[::3], ids=lambda form: f"{form.name} {form.details}")
def test_a_graph_gives_what_the_kernel_gives(form: Format) -> None:
    layer = make_layer(form, (256,), 512)
    fused = {name: tensor.cuda() for name, tensor in layer.fused.items()}
    for name in accepted(layer, torch.bfloat16):
        state = prepare(name, form, fused, (256,), torch.bfloat16)
        x = torch.randn(4, 512, device="cuda", dtype=torch.bfloat16)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            apply(name, x, state)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = apply(name, x, state)
        x.copy_(torch.randn_like(x))
        graph.replay()
        torch.testing.assert_close(out, apply(name, x, state))
