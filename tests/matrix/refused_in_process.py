"""Run in the engine's environment: loads of one tiny mixture, each with another defect; the faults of each as JSON.

    python refused_in_process.py RUN_FOLDER ANSWER.json

The engine makes the model and fills it with its own weight loaders; the defects are put between it and mixprec's loader.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.linear import RowParallelLinear
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.model_executor.models.llama import LlamaForCausalLM
from vllm.plugins import load_general_plugins

load_general_plugins()

from mixprec_runtime.adapters.bookkeeping import StrictLoadingError  # noqa: E402

DOWN = "model.layers.0.mlp.down_proj.weight"


@contextmanager
def loader_of_row_parallel(change: Callable[[torch.nn.Parameter, torch.Tensor], None]) -> Iterator[None]:
    """Have the engine's row-parallel layers take ``down_proj`` of the first layer in a way of our own."""
    before = LlamaForCausalLM.load_weights

    def load_weights(self: LlamaForCausalLM, weights: Any) -> Any:
        layer = self.get_submodule(DOWN.rpartition(".")[0])
        assert isinstance(layer, RowParallelLinear)
        del layer.weight.weight_loader
        layer.weight.weight_loader = change
        return before(self, weights)

    LlamaForCausalLM.load_weights = load_weights
    try:
        yield
    finally:
        LlamaForCausalLM.load_weights = before


@contextmanager
def loader_of_model(change: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Have the model load in a way of our own, which is handed the engine's."""
    before = LlamaForCausalLM.load_weights
    LlamaForCausalLM.load_weights = lambda self, weights: change(self, lambda given: before(self, given))(weights)
    try:
        yield
    finally:
        LlamaForCausalLM.load_weights = before


def leave_rows_out(parameter: torch.nn.Parameter, data: torch.Tensor) -> None:
    parameter.data[torch.arange(data.shape[0] - 1)] = data[:-1]


def add(parameter: torch.nn.Parameter, data: torch.Tensor) -> None:
    parameter.data.add_(data)


def behind_the_back(parameter: torch.nn.Parameter, data: torch.Tensor) -> None:
    parameter.data.view(torch.int16).numpy()[...] = data.view(torch.int16).numpy()


def take_over(parameter: torch.nn.Parameter, data: torch.Tensor) -> None:
    parameter.data = data.clone()


def half(parameter: torch.nn.Parameter, data: torch.Tensor) -> None:
    parameter.data[:, :8].copy_(data[:, :8])
    parameter.data[:, 8:].fill_(0)


def swallow(model: Any, load: Any) -> Any:
    return lambda weights: load((name, data) for name, data in weights if name != DOWN)


def twice(model: Any, load: Any) -> Any:
    def again(weights: Any) -> Any:
        for name, data in weights:
            yield name, data
            if name == "model.embed_tokens.weight":
                yield "model.norm.weight", torch.ones(data.shape[1])

    return lambda weights: load(again(weights))


def leave_new(model: Any, load: Any) -> Any:
    def loading(weights: Any) -> Any:
        model.extra = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
        return load(weights)

    return loading


CASES: dict[str, Any] = {
    "whole": None,
    "rows left out": loader_of_row_parallel(leave_rows_out),
    "added to": loader_of_row_parallel(add),
    "behind the back": loader_of_row_parallel(behind_the_back),
    "taken over": loader_of_row_parallel(take_over),
    "a half": loader_of_row_parallel(half),
    "swallowed": loader_of_model(swallow),
    "twice": loader_of_model(twice),
    "new": loader_of_model(leave_new),
}


def main() -> None:
    store = Path(tempfile.mkdtemp(prefix="refused-")) / "store"
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"file://{store}", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
    arguments = EngineArgs(
        model=sys.argv[1], skip_tokenizer_init=True, dtype="bfloat16", max_model_len=64, enforce_eager=True,
        load_format="mixprec", quantization="mixprec",
    )  # fmt: skip
    answer: dict[str, list[str]] = {}
    for name, defect in CASES.items():
        config = arguments.create_engine_config()
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with set_current_vllm_config(config):
                model = initialize_model(vllm_config=config)
                loader = get_model_loader(config.load_config)
                if defect is None:
                    loader.load_weights(model, config.model_config)
                else:
                    with defect:
                        loader.load_weights(model, config.model_config)
            answer[name] = []
        except StrictLoadingError as refused:
            answer[name] = [f"{fault.name} {fault.text}" for fault in refused.faults]
        finally:
            torch.set_default_dtype(before)
    Path(sys.argv[2]).write_text(json.dumps(answer, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
