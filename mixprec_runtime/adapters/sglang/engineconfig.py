"""The engine's own quantization config of a checkpoint, and leading the engine to another kernel than its first."""

from __future__ import annotations

__all__ = ["engine_config", "known_methods", "taking"]

import contextlib
import inspect
import os
from collections.abc import Collection, Iterator, Mapping

from sglang.srt.configs.load_config import LoadConfig
from sglang.srt.configs.model_config import ModelConfig
from sglang.srt.layers.quantization import QUANTIZATION_METHODS, fp8_utils, get_quantization_config
from sglang.srt.layers.quantization.base_config import QuantizationConfig
from sglang.srt.model_loader import loader

from mixprec_runtime.adapters.sglang.ways import FORCED_MARLIN, Way

BACKEND, BACKENDS = "FP8_GEMM_RUNNER_BACKEND", "Fp8GemmRunnerBackend"
PACKED = "packed_modules_mapping"


def engine_config(
    folder: str, dtype: str, *, quantization: str | None = None, packed: Mapping[str, list[str]]
) -> QuantizationConfig | None:
    """The config that the engine builds when it is pointed at that checkpoint itself; None for a plain one.

    Going through its ModelConfig and its loader keeps its choices and its refusals: plain ``gptq`` becomes the class
    that this release serves it with, and types and GPUs that a method does not take are refused. ``packed`` are the
    fused layers, which otherwise come from a model's class; finding that would import every model of the engine.
    """
    overriding = "{}"  # earlier releases read what is None by default as JSON
    model = ModelConfig(model_path=folder, dtype=dtype, quantization=quantization, model_override_args=overriding)
    build = loader._get_quantization_config
    if PACKED in inspect.signature(build).parameters:  # earlier releases ask for them, later ones look them up
        return build(model, LoadConfig(), **{PACKED: dict(packed)})
    architecture = type("Layers", (), {PACKED: dict(packed)})
    before = loader.get_model_architecture
    loader.get_model_architecture = lambda *_: (architecture, architecture.__name__)
    try:
        return build(model, LoadConfig())
    finally:
        loader.get_model_architecture = before


def known_methods() -> Collection[str]:
    """The quantization methods that this release serves on this machine; its table names more than it gives."""
    return frozenset(name for name in QUANTIZATION_METHODS if _given(name))


def _given(name: str) -> bool:
    try:
        get_quantization_config(name)
    except (ImportError, ValueError):  # it lists methods for which it needs another package
        return False
    return True


@contextlib.contextmanager
def taking(way: Way) -> Iterator[None]:
    """While this is entered, layers that are made go that way; what the engine was told before is restored."""
    with contextlib.ExitStack() as restoring:
        if way.marlin:
            restoring.callback(_restore, os.environ.get(FORCED_MARLIN))
            os.environ[FORCED_MARLIN] = "1"
        backends = getattr(fp8_utils, BACKENDS, None)
        if way.block_backend is not None and backends is not None:
            restoring.callback(setattr, fp8_utils, BACKEND, getattr(fp8_utils, BACKEND))
            setattr(fp8_utils, BACKEND, backends(way.block_backend))
        yield


def _restore(value: str | None) -> None:
    if value is None:
        os.environ.pop(FORCED_MARLIN, None)
    else:
        os.environ[FORCED_MARLIN] = value
