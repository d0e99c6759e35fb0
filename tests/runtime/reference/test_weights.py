"""Reading whole checkpoints and mixtures as float32, and refusing what is not understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the reference needs torch")

from safetensors.torch import save_file  # noqa: E402

from mixprec_runtime.checkpoint.errors import CheckpointError  # noqa: E402
from mixprec_runtime.reference.errors import IncompleteLayer, UnknownLayout  # noqa: E402
from mixprec_runtime.reference.weights import float32_mixture, float32_weights  # noqa: E402

INT8 = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "config_groups": {"group_0": {"weights": {"strategy": "channel"}}},
}


def write(folder: Path, tensors: dict[str, torch.Tensor], quantization: dict[str, object] | None = None) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    config = {} if quantization is None else {"quantization_config": quantization}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def plain(folder: Path) -> Path:
    return write(
        folder,
        {
            "model.norm.weight": torch.ones(2, dtype=torch.bfloat16),
            "a.weight": torch.full((2, 2), 1.5, dtype=torch.bfloat16),
            "b.weight": torch.full((2, 2), 2.5, dtype=torch.bfloat16),
        },
    )


def int8(folder: Path) -> Path:
    layer = {"weight": torch.full((2, 2), 3, dtype=torch.int8), "weight_scale": torch.full((2, 1), 2.0)}
    tensors = {f"{module}.{part}": tensor.clone() for module in "ab" for part, tensor in layer.items()}
    return write(folder, {**tensors, "model.norm.weight": torch.zeros(2)}, INT8)


def test_a_mixture_takes_each_module_from_its_folder(tmp_path: Path) -> None:
    state = float32_mixture(plain(tmp_path / "plain"), {"b": int8(tmp_path / "int8")})
    assert {name: (tensor.dtype, float(tensor.max())) for name, tensor in state.items()} == {
        "model.norm.weight": (torch.float32, 1.0),
        "a.weight": (torch.float32, 1.5),
        "b.weight": (torch.float32, 6.0),
    }


def test_a_module_that_the_folder_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteLayer, match=r"^c: .*found nothing"):
        float32_mixture(plain(tmp_path / "plain"), {"c": int8(tmp_path / "int8")})


def test_a_layer_that_lacks_a_tensor_is_named(tmp_path: Path) -> None:
    tensors = {"a.qweight": torch.zeros(1, 8, dtype=torch.int32), "a.scales": torch.ones(1, 8)}
    folder = write(tmp_path / "gptq", tensors, {"quant_method": "gptq", "bits": 4})
    with pytest.raises(IncompleteLayer, match=r"^a: .*gptq needs qzeros.*found qweight, scales"):
        float32_weights(folder)


def test_an_order_of_words_without_a_decoder_is_refused(tmp_path: Path) -> None:
    words = {"qweight": torch.zeros(8, 1, dtype=torch.int32), "qzeros": torch.zeros(8, 1, dtype=torch.int32)}
    tensors = {f"a.{name}": tensor for name, tensor in {**words, "scales": torch.ones(8, 1)}.items()}
    folder = write(tmp_path / "folder", tensors, {"quant_method": "awq", "bits": 4, "version": "gemv"})
    with pytest.raises(UnknownLayout, match="gemv"):
        float32_weights(folder)


def test_each_module_is_read_in_its_own_format(tmp_path: Path) -> None:
    """A checkpoint with an ignored layer, and scales of the key-value cache beside the weights."""
    tensors = {
        "a.weight": torch.full((2, 2), 3, dtype=torch.int8), "a.weight_scale": torch.full((2, 1), 2.0),
        "b.weight": torch.full((2, 2), 2.5, dtype=torch.bfloat16), "b.bias": torch.ones(2),
        "self_attn.k_scale": torch.tensor(0.5),
    }  # fmt: skip
    state = float32_weights(write(tmp_path / "mixed", tensors, {**INT8, "ignore": ["b"]}))
    assert {name: float(tensor.max()) for name, tensor in state.items()} == {
        "a.weight": 6.0, "b.weight": 2.5, "b.bias": 1.0,
    }  # fmt: skip


def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    folder = plain(tmp_path / "plain")
    index = {"weight_map": {"a.weight": "../elsewhere/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="elsewhere"):
        float32_weights(folder)


def test_shards_of_an_index_are_read(tmp_path: Path) -> None:
    folder = plain(tmp_path / "plain")
    save_file({"c.weight": torch.ones(1, 1)}, folder / "second.safetensors")
    shards = {"a.weight": "model.safetensors", "b.weight": "model.safetensors", "c.weight": "second.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert float32_weights(folder).keys() == shards.keys()
