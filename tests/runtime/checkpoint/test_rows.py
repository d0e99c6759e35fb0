"""Single rows of packed weights are what the reference says they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.records.format import Activation, Format, FormatKind

torch = pytest.importorskip("torch", reason="weights are made with torch")

from safetensors.torch import save_file  # noqa: E402

from mixprec_runtime.checkpoint.header import read_header  # noqa: E402
from mixprec_runtime.checkpoint.rows import read_row  # noqa: E402
from mixprec_runtime.packing.generated import packed_weight  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402

FORMATS = (
    Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16"),
    Format(kind=FormatKind.PLAIN, bits=16, dtype="F16"),
    Format(kind=FormatKind.PLAIN, bits=32, dtype="F32"),
    Format(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.DYNAMIC),
    Format(kind=FormatKind.FP8, bits=8, scale="channel"),
    Format(kind=FormatKind.FP8, bits=8, scale="block", block=(32, 32)),
    Format(kind=FormatKind.INT8, bits=8, scale="channel", symmetric=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=False),
    Format(kind=FormatKind.AWQ, bits=4, group=32, symmetric=False),
    Format(kind=FormatKind.PACKED, bits=4, group=32, symmetric=True),
    Format(kind=FormatKind.PACKED, bits=8, group=None, symmetric=True),
    Format(kind=FormatKind.PACKED, bits=4, group=32, symmetric=False),
    Format(kind=FormatKind.PACKED, bits=8, group=64, symmetric=False),
)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.name}-{form.symmetric}")
def test_a_row_is_the_reference_s(form: Format, tmp_path: Path) -> None:
    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(1))
    tensors = packed_weight(form, weight, torch.arange(128))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "x.safetensors")
    headers = read_header(tmp_path / "x.safetensors")
    right = dequantize(form, tensors)
    for row in (0, 1, 13, 64, 95):
        found = read_row(form, (96, 128), headers, row)
        assert found is not None
        torch.testing.assert_close(torch.tensor(found), right[row])


def test_what_is_not_read_is_said() -> None:
    assert read_row(Format(kind=FormatKind.NVFP4, bits=4), (1, 1), {}, 0) is None
    assert read_row(Format(kind=FormatKind.GPTQ, bits=8), (1, 1), {}, 0) is None
