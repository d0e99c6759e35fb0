"""A rank's part of a layer, read from a checkpoint's bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="layers are tensors")
safetensors = pytest.importorskip("safetensors", reason="checkpoints are safetensors")

from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_doctor.records.workload import LinearShape  # noqa: E402
from mixprec_runtime.adapters.layers import TrialLayer, read_layer  # noqa: E402
from mixprec_runtime.checkpoint.header import read_header  # noqa: E402
from mixprec_runtime.packing.generated import generated_layer  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402

GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True)
AWQ = Format(kind=FormatKind.AWQ, bits=4, group=32, symmetric=False)
PACKED = Format(kind=FormatKind.PACKED, bits=4, group=32, symmetric=True)
BLOCK = Format(
    kind=FormatKind.FP8, bits=8, scale="block", dtype="F8_E4M3", block=(32, 32), activation=Activation.DYNAMIC
)  # fmt: skip
INT8 = Format(kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", activation=Activation.DYNAMIC)
TENSOR = Format(kind=FormatKind.FP8, bits=8, scale="tensor", dtype="F8_E4M3", activation=Activation.STATIC)
OUTPUTS, INPUTS = (64, 128), 128


def held(folder: Path, form: Format, *, outputs: tuple[int, ...] = OUTPUTS, inputs: int = INPUTS) -> TrialLayer:
    """The layer that a rank with that many outputs and inputs reads of a checkpoint."""
    from safetensors.torch import save_file

    parts = generated_layer(form, OUTPUTS, INPUTS, seed=3)
    names = [f"model.part{at}" for at in range(len(parts))]
    file = folder / "model.safetensors"
    save_file(
        {
            f"{name}.{suffix}": tensor
            for name, part in zip(names, parts, strict=True)
            for suffix, tensor in part.items()
        },
        file,
    )
    headers = read_header(file)
    shape = LinearShape(inputs=inputs, outputs=outputs, full_inputs=INPUTS, full_outputs=OUTPUTS)
    raw = {
        "format": form.to_json(), "shape": shape.to_json(), "folder": str(folder), "unit": names,
        "parts": [
            [
                {
                    "suffix": suffix, "dtype": headers[f"{name}.{suffix}"].dtype, "file": str(file),
                    "shape": headers[f"{name}.{suffix}"].shape, "begin": headers[f"{name}.{suffix}"].begin,
                    "end": headers[f"{name}.{suffix}"].end,
                }
                for suffix in part
            ]
            for name, part in zip(names, parts, strict=True)
        ],
    }  # fmt: skip
    return read_layer(raw, torch.bfloat16, torch.device("cpu"))


def whole(form: Format) -> list[torch.Tensor]:
    return [dequantize(form, part) for part in generated_layer(form, OUTPUTS, INPUTS, seed=3)]


@pytest.mark.parametrize("form", [GPTQ, AWQ, PACKED, BLOCK, INT8, TENSOR], ids=lambda form: form.name)
def test_a_whole_layer_is_its_parts_one_below_the_other(tmp_path: Path, form: Format) -> None:
    found = held(tmp_path, form)
    assert torch.equal(found.weight, torch.cat(whole(form)))
    assert found.origin == "checkpoint"


@pytest.mark.parametrize("form", [GPTQ, AWQ, PACKED, BLOCK, INT8, TENSOR], ids=lambda form: form.name)
def test_a_rank_holds_the_first_outputs_of_each_part(tmp_path: Path, form: Format) -> None:
    found = held(tmp_path, form, outputs=(32, 64))
    assert torch.equal(found.weight, torch.cat([whole(form)[0][:32], whole(form)[1][:64]]))


@pytest.mark.parametrize("form", [GPTQ, AWQ, PACKED, BLOCK, INT8, TENSOR], ids=lambda form: form.name)
def test_a_rank_holds_the_first_inputs(tmp_path: Path, form: Format) -> None:
    found = held(tmp_path, form, inputs=64)
    assert torch.equal(found.weight, torch.cat([part[:, :64] for part in whole(form)]))


def test_an_act_order_layer_that_is_cut_along_its_inputs_gets_generated_tensors(tmp_path: Path) -> None:
    found = held(tmp_path, replace(GPTQ, act_order=True), inputs=64)
    assert found.origin == "generated"
    assert tuple(found.weight.shape) == (sum(OUTPUTS), 64)


def test_tensors_beyond_the_end_of_a_file_are_an_error(tmp_path: Path) -> None:
    held(tmp_path, INT8)
    file = tmp_path / "model.safetensors"
    size = file.stat().st_size
    raw = {
        "format": INT8.to_json(), "shape": LinearShape(inputs=1, outputs=(1,), full_inputs=1, full_outputs=(1,)).to_json(),
        "folder": "", "unit": ["a"],
        "parts": [[{"suffix": "weight", "dtype": "I8", "shape": [9], "file": str(file), "begin": size - 4, "end": size + 5}]],
    }  # fmt: skip
    with pytest.raises(OSError, match="ends before weight does"):
        read_layer(raw, torch.bfloat16, torch.device("cpu"))
