"""The engine's own quantization config of a checkpoint, and keeping the engine from kernels that failed."""

from __future__ import annotations

__all__ = ["engine_config", "kept_from"]

import contextlib
import os
from collections.abc import Iterable, Iterator

from vllm import envs
from vllm.config import LoadConfig, ModelConfig, VllmConfig
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig

DISABLED = "VLLM_DISABLED_KERNELS"


def engine_config(folder: str) -> QuantizationConfig | None:
    """The config that the engine builds when it is pointed at that checkpoint itself; None for a plain one.

    Going through the engine's own ModelConfig keeps its choices: plain ``gptq`` becomes the class that this
    release serves it with, and ``maybe_update_config`` sees the source's own folder.
    """
    try:
        return _built(folder, "auto")
    except ValueError:  # a method that takes float16 alone, say: what type is served is asked of all sources together
        return _built(folder, "float16")


def _built(folder: str, dtype: str) -> QuantizationConfig | None:
    model = ModelConfig(model=folder, tokenizer=folder, skip_tokenizer_init=True, dtype=dtype)
    return VllmConfig.get_quantization_config(model, LoadConfig())


@contextlib.contextmanager
def kept_from(kernels: Iterable[str]) -> Iterator[None]:
    """While this is entered the engine passes over these kernel classes; what it was told before is restored.

    The engine reads the variable each time it chooses. A worker may have cached its environment by then, so that
    cache is cleared on both ways where the engine has one.
    """
    wanted = list(kernels)
    if not wanted:
        yield
        return
    before = os.environ.get(DISABLED)
    os.environ[DISABLED] = ",".join([*(before.split(",") if before else []), *wanted])
    _forget()
    try:
        yield
    finally:
        if before is None:
            del os.environ[DISABLED]
        else:
            os.environ[DISABLED] = before
        _forget()


def _forget() -> None:
    clear = getattr(vars(envs).get("__getattr__"), "cache_clear", None)
    if clear is not None:
        clear()
