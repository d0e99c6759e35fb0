"""One load, measured: a model is made by the engine, and filled by the engine's own loader or by mixprec's."""

from __future__ import annotations

__all__ = ["Load", "forget_files", "measure_load", "prepare_world"]

import gc
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one call of ``load_weights`` took: seconds, bytes that came from the disk, memory of its own at the most."""

    seconds: float
    cpu_seconds: float
    disk_bytes: int
    memory_bytes: int
    model_bytes: int


def prepare_world() -> None:
    """What the engine's layers expect around them: one process that talks to nobody."""
    import torch
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    store = Path(tempfile.mkdtemp(prefix="load-")) / "store"
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"file://{store}", 0, backend)
        parallel_state.initialize_model_parallel(1, 1)


def measure_load(folder: Path, *, ours: bool) -> Load:
    """Make the model of a folder and load it, by mixprec's loader or by the engine's own."""
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import get_model_loader
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.utils.torch_utils import set_default_torch_dtype

    chosen: dict[str, Any] = {"load_format": "mixprec", "quantization": "mixprec"} if ours else {}
    arguments = EngineArgs(
        model=str(folder), skip_tokenizer_init=True, dtype="bfloat16", max_model_len=512, enforce_eager=True,
        use_tqdm_on_load=False, **chosen,
    )  # fmt: skip
    config = arguments.create_engine_config()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with set_current_vllm_config(config), set_default_torch_dtype(config.model_config.dtype):
        with device:
            model = initialize_model(vllm_config=config)
        loader = get_model_loader(config.load_config)
        gc.collect()
        with _memory() as peak:
            read, spent, began = _disk_bytes(), time.process_time(), time.perf_counter()
            loader.load_weights(model, config.model_config)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
        load = Load(
            seconds=seconds,
            cpu_seconds=time.process_time() - spent,
            disk_bytes=_disk_bytes() - read,
            memory_bytes=peak[0],
            model_bytes=sum(p.nbytes for p in model.parameters()),
        )
    del model, loader
    gc.collect()
    return load


def forget_files(folder: Path) -> None:
    """Take a folder's files out of the page cache."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _disk_bytes() -> int:
    """Bytes that this process had fetched from a disk (``read_bytes`` of proc(5)), not from the page cache."""
    words = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(words["read_bytes"])


@contextmanager
def _memory() -> Iterator[list[int]]:
    """The most memory of its own (``RssAnon``) that the process holds meanwhile, beyond what it held before."""
    done, before, peak = threading.Event(), _anonymous(), [0]

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _anonymous() - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], _anonymous() - before)


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
