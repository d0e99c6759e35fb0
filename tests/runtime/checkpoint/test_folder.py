"""Checkpoint folders: what is taken, and every kind that is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mixprec_runtime.checkpoint.errors import BrokenSafetensors, CheckpointError
from mixprec_runtime.checkpoint.folder import open_checkpoint
from tests.runtime.builders import (
    Tensor,
    Workshop,
    encode,
    gptq_with_bias,
    index_of,
    model_tensors,
    write_checkpoint,
    write_index,
)

A = {"a.weight": Tensor("BF16", (2, 2))}
B = {"b.weight": Tensor("BF16", (2, 2))}


def refused(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert caught.value.exit_code == 1
    return caught.value


def test_a_single_file_is_read(shop: Workshop) -> None:
    checkpoint = open_checkpoint(shop.checkpoint("gptq"))
    assert checkpoint.tensors.keys() == model_tensors(gptq_with_bias).keys()
    assert checkpoint.quantization is not None and checkpoint.quantization["quant_method"] == "gptq"
    assert set(checkpoint.of_module("model.layers.1.mlp.up_proj")) == {"qweight", "qzeros", "scales", "g_idx", "bias"}


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    index_of(tmp_path, {"one.safetensors": A, "two.safetensors": B})
    (tmp_path / "stray.safetensors").write_bytes(encode({"c.weight": Tensor("U8", (1,))}))
    checkpoint = open_checkpoint(tmp_path)
    assert {name: header.file.name for name, header in checkpoint.tensors.items()} == {
        "a.weight": "one.safetensors",
        "b.weight": "two.safetensors",
    }


def test_the_index_decides_between_two_copies(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    index_of(tmp_path, {"one.safetensors": A, "two.safetensors": {**B, **A}})
    write_index(tmp_path, {"a.weight": "one.safetensors", "b.weight": "two.safetensors"})
    assert open_checkpoint(tmp_path).tensors["a.weight"].file.name == "one.safetensors"


def test_files_without_an_index_are_joined(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "x.safetensors").write_bytes(encode(A))
    (tmp_path / "y.safetensors").write_bytes(encode(B))
    assert set(open_checkpoint(tmp_path).tensors) == {"a.weight", "b.weight"}


def test_one_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "x.safetensors").write_bytes(encode(A))
    (tmp_path / "y.safetensors").write_bytes(encode(A))
    assert "'a.weight' twice: x.safetensors, y.safetensors" in str(refused(tmp_path))


@pytest.mark.parametrize("name", [
    "../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "..\\x.safetensors", "C:\\x.safetensors",
    "pytorch_model.bin", "model.pkl",
])  # fmt: skip
def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint")
    (tmp_path / "x.safetensors").write_bytes(encode(A))
    write_index(folder, {"a.weight": name})
    fault = refused(folder)
    assert fault.code == "MP613"
    assert repr(name) in str(fault) and "index.json" in str(fault) and "inside the folder" in str(fault)


def test_an_index_may_name_a_folder_below(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "parts").mkdir()
    (folder / "parts" / "x.safetensors").write_bytes(encode(A))
    write_index(folder, {"a.weight": "parts/x.safetensors"})
    assert set(open_checkpoint(folder).tensors) == {"a.weight"}


@pytest.mark.parametrize("name", ["gone.safetensors", "x" * 5000 + ".safetensors", "nul\0.safetensors"])
def test_a_file_that_the_index_names_and_that_is_missing(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path)
    write_index(folder, {"a.weight": name})
    assert "is missing, though the index names it" in str(refused(folder))


def test_a_tensor_that_the_index_promises_and_its_file_lacks(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    index_of(folder, {"one.safetensors": A})
    write_index(folder, {"a.weight": "one.safetensors", "z.weight": "one.safetensors"})
    fault = refused(folder)
    assert "promises 1 tensors" in str(fault) and "'z.weight' in one.safetensors" in str(fault)
    assert "fetch the folder again" in str(fault)


@pytest.mark.parametrize("weight_map", [None, [], {"a": 1}, {"a": ["x.safetensors"]}, "x.safetensors"])
def test_an_index_without_a_map_is_refused(tmp_path: Path, weight_map: object) -> None:
    folder = write_checkpoint(tmp_path)
    write_index(folder, weight_map)
    assert "has no weight_map" in str(refused(folder))


@pytest.mark.parametrize("suffix", ["bin", "pt", "pth", "ckpt", "pickle", "pkl"])
def test_a_pickled_checkpoint_is_refused_unopened(tmp_path: Path, suffix: str) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "it ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (marker.touch, ())

    (folder / f"pytorch_model.{suffix}").write_bytes(pickle.dumps(Bomb()))
    fault = refused(folder)
    assert fault.code == "MP612" and f"pytorch_model.{suffix}" in str(fault) and "can run any code" in str(fault)
    assert "safe_serialization=True" in str(fault)
    assert not marker.exists()


def test_safetensors_beside_a_pickle_are_taken(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "training_args.bin").write_bytes(b"anything")
    assert open_checkpoint(folder).tensors


def test_a_truncated_file_names_itself(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    fault = refused(folder)
    assert isinstance(fault, BrokenSafetensors) and fault.path == file and "is cut off" in str(fault)


@pytest.mark.parametrize("tensors", [{}, None])
def test_a_folder_without_a_tensor_is_refused(tmp_path: Path, tensors: dict[str, Tensor] | None) -> None:
    folder = write_checkpoint(tmp_path, tensors)
    if tensors is None:
        (folder / "model.safetensors").unlink()
        assert "holds no *.safetensors file" in str(refused(folder))
    else:
        assert "holds no tensor" in str(refused(folder))


def test_an_index_of_nothing_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    write_index(folder, {})
    assert "holds no tensor" in str(refused(folder))


@pytest.mark.parametrize("content, words", [
    (None, "config.json is missing"),
    (b"{", "is no JSON"),
    (b"\xff", "is no JSON"),
    (b"[]", "holds no JSON object"),
    (b"[" * 100_000, "is no JSON"),
])  # fmt: skip
def test_a_config_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    assert words in str(refused(folder))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    assert "is no folder" in str(refused(file))
    assert "is no folder" in str(refused(tmp_path / "nowhere"))


@pytest.mark.parametrize("config, files, method", [
    ({"quantization_config": {"quant_method": "fp8"}}, {}, "fp8"),
    ({"compression_config": {"quant_method": "compressed-tensors"}}, {}, "compressed-tensors"),
    ({}, {"quantize_config.json": {"bits": 4}}, "gptq"),
    ({}, {"quant_config.json": {"w_bit": 4}}, "awq"),
    ({"quantization_config": {"quant_method": "awq"}}, {"quantize_config.json": {"bits": 4}}, "awq"),
])  # fmt: skip
def test_the_quantization_config_is_found_where_tools_write_it(
    tmp_path: Path, config: dict[str, object], files: dict[str, object], method: str
) -> None:
    folder = write_checkpoint(tmp_path, **config)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    quantization = open_checkpoint(folder).quantization
    assert quantization is not None and quantization["quant_method"] == method


def test_an_unquantized_checkpoint_has_no_quantization_config(tmp_path: Path) -> None:
    assert open_checkpoint(write_checkpoint(tmp_path)).quantization is None
