"""Open a checkpoint folder: config, index, and the headers of its safetensors files."""

from __future__ import annotations

__all__ = ["open_checkpoint"]

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mixprec_runtime.checkpoint.errors import CheckpointError
from mixprec_runtime.checkpoint.header import read_header
from mixprec_runtime.hub.kept import shards_of
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SIDE_FILES = (("quantize_config.json", "gptq"), ("quant_config.json", "awq"), ("hf_quant_config.json", "modelopt"))
"""Files that state a quantization config, where config.json does not, and the method that writes them."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pickle", "*.pkl")


class PickledCheckpoint(CheckpointError):
    """A folder whose weights are pickles: opening one runs code, so mixprec never does."""

    code = "MP612"


class EscapingIndex(CheckpointError):
    """An index that names a file outside its folder."""

    code = "MP613"


def open_checkpoint(path: Path) -> Checkpoint:
    """Read ``config.json`` and every safetensors header below ``path``.

    Raises CheckpointError (one of its kinds) for a folder without config or weights, pickled weights, an index
    that names a file outside the folder or one that isn't there, and for broken safetensors files.
    """
    if not path.is_dir():
        raise CheckpointError(path, "is no folder", "name the folder that holds config.json and *.safetensors")
    config = _object(path / "config.json")
    tensors = _tensors(path)
    if not tensors:
        raise CheckpointError(path, "holds no tensor", "fetch the folder again")
    return Checkpoint(path=path, config=config, quantization=_quantization(path, config), tensors=tensors)


def _object(file: Path) -> Mapping[str, object]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(file, "is missing", "name the folder that holds config.json") from None
    except OSError as fault:
        raise CheckpointError(file, f"cannot be read: {fault.strerror or fault}") from fault
    except (ValueError, RecursionError) as fault:
        raise CheckpointError(file, f"is no JSON: {fault}") from fault
    if not isinstance(loaded, dict):
        raise CheckpointError(file, "holds no JSON object")
    return loaded


def _quantization(path: Path, config: Mapping[str, object]) -> Mapping[str, object] | None:
    """The checkpoint's own quantization config, from the places where tools write it.

    ``config.json`` of today's tools (transformers ``quantization_config``, early compressed-tensors
    ``compression_config``), else ``quantize_config.json`` (AutoGPTQ), ``quant_config.json`` (AutoAWQ) or
    ``hf_quant_config.json`` (ModelOpt).
    """
    for key in ("quantization_config", "compression_config"):
        if isinstance(found := config.get(key), dict):
            return found
    for name, method in SIDE_FILES:
        if (path / name).is_file():
            return {"quant_method": method, **_object(path / name)}
    return None


def _tensors(path: Path) -> dict[str, TensorHeader]:
    if (path / INDEX).is_file():
        return _indexed(path)
    here = {*(file.name for file in path.glob("*.safetensors")), *shards_of(path)}
    files = [path / name for name in ([SINGLE] if SINGLE in here else sorted(here))]
    if not files:
        pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
        if pickles:
            raise PickledCheckpoint(
                path,
                f"holds its weights as pickles ({', '.join(pickles[:3])}); reading one can run any code",
                "convert it once, where you trust it: "
                "AutoModelForCausalLM.from_pretrained(...).save_pretrained("
                "..., safe_serialization=True)",
            )
        raise CheckpointError(path, "holds no *.safetensors file")
    tensors: dict[str, TensorHeader] = {}
    for file in files:
        for name, header in read_header(file).items():
            if name in tensors:
                raise CheckpointError(path, f"has tensor {name!r} twice: {tensors[name].file.name}, {file.name}")
            tensors[name] = header
    return tensors


def _indexed(path: Path) -> dict[str, TensorHeader]:
    weight_map = _object(path / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise CheckpointError(path / INDEX, "has no weight_map from tensor names to file names")
    headers = {name: read_header(_inside(path, name)) for name in sorted(set(weight_map.values()))}
    tensors: dict[str, TensorHeader] = {}
    missing = [name for name, file in weight_map.items() if name not in headers[file]]
    if missing:
        first = missing[0]
        raise CheckpointError(
            path / INDEX,
            f"promises {len(missing)} tensors that its files do not hold, first {first!r} in {weight_map[first]}",
            "fetch the folder again: index and files are of different states",
        )
    for file, found in headers.items():
        for name, header in found.items():
            if weight_map.get(name) == file:
                tensors[name] = header
    return tensors


def _inside(path: Path, name: str) -> Path:
    """The file that an index names, refused unless it is a plain relative name below the folder.

    Symbolic links are followed only as the Hub's cache uses them: a link in the folder itself, put there by
    whoever made the folder; a *name* that climbs out or starts at the root is what an index must not hold.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not name.endswith(".safetensors"):
        raise EscapingIndex(
            path / INDEX,
            f"names {name!r}: only *.safetensors files inside the folder may be read",
            "do not use this checkpoint before you know who made it",
        )
    file = path / name
    if not os.path.isfile(file) and name not in shards_of(path):  # noqa: PTH113  Path.is_file raises for names longer than the system has
        raise CheckpointError(file, "is missing, though the index names it", "fetch the folder again")
    return file
