"""Products compiled here compute what the weight means in float32, for every layout they take, and refuse the others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="kernels are torch")

from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_runtime.kernels import building, compiled  # noqa: E402
from tests.runtime.kernels.drawn import make_layer  # noqa: E402

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in building.COMPILERS), reason="no C compiler is here"
)
TAKEN = [
    Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=False),
    Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True, act_order=True),
    Format(kind=FormatKind.GPTQ, bits=4, symmetric=True),
    Format(kind=FormatKind.AWQ, bits=4, group=64, symmetric=False),
    Format(kind=FormatKind.PACKED, bits=4, group=128, symmetric=False),
    Format(kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True, activation=Activation.DYNAMIC),
    Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.DYNAMIC),
    Format(kind=FormatKind.FP8, bits=8, scale="tensor", dtype="F8_E4M3", activation=Activation.STATIC),
]
LEFT = [
    Format(kind=FormatKind.GPTQ, bits=8, group=64, symmetric=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=16, symmetric=True),
    Format(kind=FormatKind.FP8, bits=8, scale="block", dtype="F8_E4M3", block=(64, 64), activation=Activation.DYNAMIC),
]


def named(form: Format) -> str:
    return f"{form.name} {form.details}"


@needs_compiler
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("form", TAKEN, ids=named)
def test_it_is_the_product_with_the_float32_weight(form: Format, rows: int) -> None:
    layer = make_layer(form, (96, 32), 384)
    made = compiled.prepare(form, layer.fused, layer.widths)
    assert made is not None
    for dtype, bound in ((torch.float32, 2e-6), (torch.bfloat16, 2**-8), (torch.float16, 2**-10)):
        x = torch.randn(rows, 384).to(dtype)
        found, wanted = compiled.product(*made)(x), x.to(torch.float32) @ layer.weight.t()
        assert found.dtype is dtype
        assert float((found.to(torch.float32) - wanted).abs().max()) < bound * float(wanted.abs().max())


@needs_compiler
def test_every_finite_code_of_float8_is_widened_exactly() -> None:
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    finite = codes[~codes.to(torch.float32).isnan()][:248]
    weight = finite.view(31, 8)[:28].contiguous()
    form = Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.NONE)
    made = compiled.prepare(form, {"weight": weight, "weight_scale": torch.ones(28, 1)}, [28])
    assert made is not None
    assert torch.equal(compiled.product(*made)(torch.eye(8)), weight.to(torch.float32).t())


@needs_compiler
@pytest.mark.parametrize("form", LEFT, ids=named)
def test_what_it_has_no_layout_for_is_left_to_others(form: Format) -> None:
    layer = make_layer(form, (64,), 128)
    assert compiled.prepare(form, layer.fused, layer.widths) is None


@needs_compiler
def test_weights_take_no_more_than_in_the_checkpoint() -> None:
    for form in TAKEN:
        layer = make_layer(form, (512,), 1024)
        made = compiled.prepare(form, layer.fused, layer.widths)
        assert made is not None
        held = sum(value.nbytes for value in made[1].values() if isinstance(value, torch.Tensor))
        assert held <= sum(tensor.nbytes for tensor in layer.fused.values()) * 1.02


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"MIXPREC_COMPILE": "0"}, "it is switched off"), ({"PATH": "/nowhere", "CC": ""}, "there is no compiler"),
     ({"CC": "false"}, "the compiler fails"), ({"CC": "true"}, "the compiler makes nothing")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_without_a_library_there_is_none_and_no_error(changes: dict[str, str], why: str, tmp_path: Path) -> None:
    code = "from mixprec_runtime.kernels.building import products; print(products())"
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120,
        env={"PATH": "/usr/bin:/bin", "MIXPREC_CACHE": str(tmp_path), **changes},
    )  # fmt: skip
    assert child.stdout == "None\n", why
