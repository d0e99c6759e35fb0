"""A scene for single layers of the engine: the surroundings that its layers expect, without a model and a server."""

from __future__ import annotations

__all__ = ["scene"]

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from vllm.config import ModelConfig, VllmConfig, set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.platforms import current_platform
from vllm.plugins import load_general_plugins

BARE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 64,
    "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip


@contextlib.contextmanager
def scene(dtype: str) -> Iterator[torch.device]:
    """A world of one process that talks to nobody, a bare model's config, its type and device as the defaults."""
    load_general_plugins()  # as a worker does: plugins may bring kernels and take others away
    folder = Path(tempfile.mkdtemp(prefix="scene-"))
    (folder / "config.json").write_text(json.dumps({**BARE, "torch_dtype": dtype}), encoding="utf-8")
    device = torch.device(current_platform.device_type, 0) if not current_platform.is_cpu() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    model = ModelConfig(model=str(folder), tokenizer=str(folder), skip_tokenizer_init=True, dtype=dtype)
    before = torch.get_default_dtype()
    with set_current_vllm_config(VllmConfig(model_config=model)):
        parallel_state.init_distributed_environment(1, 0, f"file://{folder / 'store'}", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
        torch.set_default_dtype(model.dtype)
        try:
            yield device
        finally:
            torch.set_default_dtype(before)
