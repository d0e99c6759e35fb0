"""The planner's table of fused units is what the engine's own models say."""

from __future__ import annotations

import pytest

from mixprec_runtime.planning.units import FUSED

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

MODELS = ("llama", "qwen2", "qwen3", "mistral", "gemma2")


@pytest.mark.parametrize("model", MODELS)
def test_fused_units_are_those_of_the_engines_models(model: str) -> None:
    import importlib

    vllm = pytest.importorskip("vllm", reason="vLLM is not installed")
    assert vllm
    module = importlib.import_module(f"vllm.model_executor.models.{model}")
    mappings = [
        found.packed_modules_mapping
        for name, found in vars(module).items()
        if name.endswith("ForCausalLM") and getattr(found, "packed_modules_mapping", None)
    ]
    assert mappings, f"vLLM's {model} has no packed_modules_mapping"
    for mapping in mappings:
        assert {name: tuple(parts) for name, parts in mapping.items()} == dict(FUSED)
