"""Generated checkpoints: whole models of random weights, the same model in any format, for trials and figures.

Nothing is downloaded. The layers are those that transformers makes of a config; every folder of the same config and
seed holds the same model, rounded to its format as a quantizer lays it out.
"""

from __future__ import annotations

__all__ = ["write_generated_model"]

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.packing.announced import quantization_config
from mixprec_runtime.packing.generated import packed_weight
from mixprec_runtime.packing.generated_experts import experts_of, is_aside, leave_out, saved_name
from mixprec_runtime.planning.language import language_config

GAIN = 1.5  # of a layer's weights: as many times as would keep the spread of its inputs
HEAD_GAIN = 2.0
INDEX = "model.safetensors.index.json"
IMAGE = "<image>"
Tensors = dict[str, torch.Tensor]


def write_generated_model(
    config: Mapping[str, object],
    folder: Path,
    *,
    format: Format | None = None,
    seed: int = 0,
    device: str = "cpu",
    shard_bytes: int = 1 << 32,
    stacked: bool = False,
) -> Path:
    """Write a checkpoint folder for a config of transformers (``model_type`` and sizes); returns the folder.

    Linear layers but the output head, routers and what sees are in ``format``; None: all in BF16. Experts lie one by
    one; where they are plain and ``stacked`` is wanted, in a tensor for all. Weights are drawn and rounded on
    ``device``. The tokenizer knows words ``w0``, ``w1`` ... of the config's vocabulary. Raises UnpackableShape.
    """
    folder.mkdir(parents=True, exist_ok=True)
    form = None if format is None or format.kind is FormatKind.PLAIN else format
    written: dict[str, str] = {}
    shard: Tensors = {}
    shards = 0
    model = _model(config)
    for tensors in _modules(model, config, form, seed, device=torch.device(device), stacked=stacked and form is None):
        shard |= {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        if sum(tensor.nbytes for tensor in shard.values()) >= shard_bytes:
            shards, shard = shards + 1, _save(shard, folder, shards + 1, written)
    if shard:
        _save(shard, folder, shards + 1, written)
    total = sum((folder / name).stat().st_size for name in set(written.values()))
    _write(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": written})
    said: dict[str, object] = {**config, "dtype": "bfloat16", "torch_dtype": "bfloat16"}
    if form is not None:
        kind = str(config.get("model_type"))
        weights = {name: getattr(module, "weight", None) for name, module in model.named_modules()}
        linear = [name for name, weight in weights.items() if isinstance(weight, torch.Tensor) and weight.dim() == 2]
        asides = [saved_name(name, kind) for name in linear if is_aside(name, model)]
        said["quantization_config"] = leave_out(quantization_config(form) or {}, asides)
    _write(folder / "config.json", said)
    _write_tokenizer(folder, config)
    return folder


def _save(shard: Tensors, folder: Path, number: int, written: dict[str, str]) -> Tensors:
    name = f"model-{number:05d}.safetensors"
    save_file(shard, str(folder / name), metadata={"format": "pt"})
    written |= dict.fromkeys(shard, name)
    return {}


def _model(config: Mapping[str, object]) -> torch.nn.Module:
    """The model that transformers makes of a config, without weights."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    known = AutoConfig.for_model(**dict(config))
    kind = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    with torch.device("meta"):
        model: torch.nn.Module = kind.from_config(known)
    return model


def _modules(
    model: Any,  # noqa: ANN401  transformers is untyped
    config: Mapping[str, object],
    format: Format | None,
    seed: int,
    *,
    device: torch.device,
    stacked: bool,
) -> Iterator[Tensors]:
    """The tensors of each module that has any, under checkpoint names."""
    head, kind = model.get_output_embeddings(), str(config.get("model_type"))
    tied = bool(language_config(config).get("tie_word_embeddings"))
    with torch.device(device):
        for name, module in model.named_modules():
            saved = saved_name(name, kind)
            if module is head and tied:
                continue
            experts = () if stacked else tuple(experts_of(name, module, kind))
            for expert, shape in experts:
                yield _linear(expert, shape, format, seed)
            if experts:
                continue
            linear = isinstance(module, torch.nn.Linear) and module is not head and not is_aside(name, model)
            if linear and format is not None:
                yield _linear(saved, module.weight.shape, format, seed)
                own = {"bias": module.bias} if module.bias is not None else {}
            else:
                own = dict(module.named_parameters(recurse=False))
            gain = HEAD_GAIN if module is head else GAIN
            plain = {f"{saved}.{suffix}".lstrip("."): tensor for suffix, tensor in own.items()}
            if plain:
                yield {
                    full: _drawn(full, tensor.shape, seed, gain).to(torch.bfloat16) for full, tensor in plain.items()
                }


def _linear(name: str, shape: Sequence[int], format: Format | None, seed: int) -> Tensors:
    weight = _drawn(f"{name}.weight", shape, seed, GAIN)
    if format is None:
        return {f"{name}.weight": weight.to(torch.bfloat16)}
    order = torch.randperm(weight.shape[1], generator=_generator(name.rpartition(".")[0], seed))
    return {f"{name}.{suffix}": tensor for suffix, tensor in packed_weight(format, weight, order).items()}


def _drawn(name: str, shape: Sequence[int], seed: int, gain: float) -> torch.Tensor:
    """Numbers for a parameter: norms near one, biases near zero, embeddings of spread one, matrices by their inputs."""
    drawn = torch.randn(tuple(shape), generator=_generator(name, seed))
    if len(shape) < 2:
        return drawn * 0.05 + (0.0 if name.endswith("bias") else 1.0)
    if "embed" in name:
        return drawn
    return (drawn * (gain / math.sqrt(shape[-1]))).to(torch.bfloat16).to(torch.float32)


def _generator(name: str, seed: int) -> torch.Generator:
    """Numbers of one name, the same whatever else is drawn; on the default device."""
    generator = torch.Generator(torch.get_default_device())
    return generator.manual_seed(zlib.crc32(f"{seed} {name}".encode()))


def _write_tokenizer(folder: Path, config: Mapping[str, object]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    size = language_config(config)["vocab_size"]
    assert isinstance(size, int)  # noqa: S101  transformers' own config wants one
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{number}": number for number in range(3, size)}}
    if isinstance(image := config.get("image_token_index"), int):
        words = {**{word: number for word, number in words.items() if number != image}, IMAGE: image}
        _write_processor(folder, config)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106  no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if IMAGE in words:
        tokenizer.add_special_tokens([IMAGE])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    )


def _write_processor(folder: Path, config: Mapping[str, object]) -> None:
    """What tells how images become inputs, as PaliGemma's checkpoints have it."""
    vision = config.get("vision_config")
    sizes = vision if isinstance(vision, Mapping) else {}
    side, patch = sizes.get("image_size"), sizes.get("patch_size")
    assert isinstance(side, int) and isinstance(patch, int)  # noqa: S101  transformers' own config wants them
    told: dict[str, object] = {"size": {"height": side, "width": side}, "image_seq_length": (side // patch) ** 2}
    _write(folder / "preprocessor_config.json", {"image_processor_type": "SiglipImageProcessor", **told})
    _write(folder / "processor_config.json", {"processor_class": "PaliGemmaProcessor"})


def _write(file: Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")
