"""The plugin that SGLang calls in each process that loads weights (entry point group ``sglang.srt.plugins``).

It adds the quantization method ``mixprec`` and, by the engine's own hooks, the loader for models of that method. For
any other model the engine's choice of a loader stands.
"""

from __future__ import annotations

__all__ = ["register"]

from collections.abc import Callable
from typing import Any

from mixprec_runtime.method import METHOD

CHOICE = "sglang.srt.model_loader.loader.get_model_loader"
_hooked: list[str] = []


def register() -> None:
    """Register method and loader; may be called any number of times. The engine applies hooks after all plugins."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    from mixprec_runtime.adapters.sglang.registry import register_config

    register_config()
    if not _hooked:
        HookRegistry.register(CHOICE, choose_loader, HookType.AROUND)
        _hooked.append(CHOICE)


def choose_loader(choice: Callable[..., Any], load_config: Any, model_config: Any = None) -> Any:  # noqa: ANN401
    """The loader of a mixture for a mixture, the engine's own choice for everything else."""
    if model_config is None or model_config.quantization != METHOD:
        return choice(load_config, model_config)
    from mixprec_runtime.adapters.sglang.loader import MixprecModelLoader

    return MixprecModelLoader(load_config)
