"""Writing a packed checkpoint: the base folder's configuration and tokenizer, and one safetensors file."""

from __future__ import annotations

__all__ = ["copy_side_files", "read_json", "write_checkpoint", "write_json"]

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mixprec_runtime.packing.grids import CodedLinear

_SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def write_checkpoint(
    base: Path,
    out: Path,
    *,
    coded: Mapping[str, CodedLinear],
    layout: Callable[[CodedLinear], dict[str, torch.Tensor]],
    quantization: Mapping[str, object],
    side_file: str | None,
) -> None:
    """Write ``out``: the coded modules in ``layout``, every other tensor as it is in ``base/model.safetensors``.

    ``side_file`` names a second copy of the quantization configuration (``quantize_config.json`` of AutoGPTQ).
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(base / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if module in coded:
            tensors.update({f"{module}.{part}": packed for part, packed in layout(coded[module]).items()})
        else:
            tensors[name] = tensor
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = read_json(base / "config.json")
    config["quantization_config"] = dict(quantization)
    write_json(out / "config.json", config)
    if side_file is not None:
        write_json(out / side_file, dict(quantization))
    copy_side_files(base, out)


def copy_side_files(base: Path, out: Path) -> None:
    """Copy the tokenizer and the generation defaults of ``base``, as far as it has them."""
    for name in _SIDE_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, out / name)


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a JSON file, indented, in the order of the keys."""
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
