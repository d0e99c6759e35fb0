"""A scene for single layers of the engine: the surroundings that its layers expect, without a model and a server."""

from __future__ import annotations

__all__ = ["scene"]

import contextlib
import importlib.util
import inspect
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from sglang.srt import server_args
from sglang.srt.distributed import parallel_state
from sglang.srt.utils import get_device

BARE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 64,
    "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip
UNUSED = {"attention_backend": "torch_native", "sampling_backend": "pytorch", "grammar_backend": "none"}
"""What no linear layer asks for; the defaults may need libraries that are not there."""
SETTINGS = (
    ("sglang.srt.layers.quantization.fp8_utils", "initialize_fp8_gemm_config"),
    ("sglang.srt.layers.quantization.fp4_utils", "initialize_fp4_gemm_config"),
    ("sglang.srt.layers.quantization.unquant", "initialize_bf16_gemm_config"),
)
"""What a scheduler calls before it loads a model, as far as linear layers need it and the release has it."""


OTHER_REDUCE = ("USE_VLLM_CUSTOM_ALLREDUCE", "1")
"""Earlier releases import a sum over GPUs even for one rank on a CPU, and their own needs a driver."""


@contextlib.contextmanager
def scene(dtype: str) -> Iterator[torch.device]:
    """A world of one process that talks to nobody, a bare model's server arguments, its type as the default."""
    folder = Path(tempfile.mkdtemp(prefix="scene-"))
    (folder / "config.json").write_text(json.dumps({**BARE, "torch_dtype": dtype}), encoding="utf-8")
    device = _device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        os.environ.setdefault(*OTHER_REDUCE)
    arguments = server_args.ServerArgs(
        model_path=str(folder), skip_tokenizer_init=True, dtype=dtype, device=device.type, **UNUSED
    )
    _publish(arguments, device)
    parallel_state.init_distributed_environment(
        world_size=1, rank=0, local_rank=0, distributed_init_method=f"file://{folder / 'store'}",
        backend="nccl" if device.type == "cuda" else "gloo",
    )  # fmt: skip
    parallel_state.initialize_model_parallel()
    _settle(arguments)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield device
    finally:
        torch.set_default_dtype(before)


def _device() -> torch.device:
    """The engine's device; the CPU where it finds none, which it would serve on only when told to."""
    try:
        kind = torch.device(get_device()).type
    except RuntimeError:
        kind = "cpu"
    return torch.device("cpu") if kind == "cpu" else torch.device(kind, 0)


def _publish(arguments: server_args.ServerArgs, device: torch.device) -> None:
    """As a scheduler does: with the place of the process in the world, by a function, or in a dictionary."""
    try:
        from sglang.srt.runtime_context import SpawnRanks, publish
    except ImportError:
        _publish_plainly(arguments)
    else:
        publish(arguments, role="scheduler", ranks=SpawnRanks(world_rank=0, gpu_id=device.index))


def _publish_plainly(arguments: server_args.ServerArgs) -> None:
    publish = getattr(server_args, "set_global_server_args_for_scheduler", None)
    if publish is None:
        from sglang.srt.managers.schedule_batch import GLOBAL_SERVER_ARGS_KEYS, global_server_args_dict

        global_server_args_dict.update({name: getattr(arguments, name) for name in GLOBAL_SERVER_ARGS_KEYS})
    else:
        publish(arguments)


def _settle(arguments: server_args.ServerArgs) -> None:
    for module, name in SETTINGS:
        there = importlib.util.find_spec(module) is not None
        initialize = getattr(importlib.import_module(module), name, None) if there else None
        if initialize is not None:
            initialize(*[arguments] * len(inspect.signature(initialize).parameters))
