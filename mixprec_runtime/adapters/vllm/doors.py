"""The doors of vLLM for loaders, opened in each process that holds the config of a mixture, and in no other.

A run folder's config.json names the quantization method, so the engine makes a MixprecConfig by itself; of loaders
it knows only the load format, which is ``auto`` unless a user says otherwise. So in such a process the loader
for ``auto`` becomes a subclass of what stood there, which hands mixtures over and everything else on.
"""

from __future__ import annotations

__all__ = ["handing_over", "open_doors"]

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from mixprec_runtime.adapters.vllm.lacking import EngineLacks
from mixprec_runtime.method import METHOD

STANDARD = "auto"
_opened: list[type] = []


def open_doors() -> None:
    """Register the loaders of mixtures in this process, once. Raises EngineLacks."""
    if _opened:
        return
    from vllm.config import LoadConfig
    from vllm.model_executor import model_loader

    if not hasattr(model_loader, "register_model_loader"):
        raise EngineLacks("register_model_loader")
    loader = handing_over(type(model_loader.get_model_loader(LoadConfig(load_format=STANDARD))))
    with _quiet(model_loader.__name__):  # it warns that ``auto`` is there already, which is the point
        for name in (METHOD, STANDARD):
            model_loader.register_model_loader(name)(loader)
    _opened.append(loader)


def handing_over(standing: type) -> type:
    """A loader class like the one that stood there, which hands models of a run folder over to mixprec's own.

    Which model it is, is known only when it is loaded: a draft model beside a mixture is loaded as ever.
    """

    class MixprecAutoLoader(standing):
        def __init__(self, load_config: Any) -> None:  # noqa: ANN401  the engine is untyped here
            if load_config.load_format == METHOD:
                load_config = copy.copy(load_config)
                load_config.load_format = STANDARD
            super().__init__(load_config)

        def download_model(self, model_config: Any) -> None:  # noqa: ANN401
            self._loader_of(model_config).download_model(model_config)

        def load_weights(self, model: nn.Module, model_config: Any) -> None:  # noqa: ANN401
            self._loader_of(model_config).load_weights(model, model_config)

        def load_model(self, vllm_config: Any, model_config: Any, **more: Any) -> nn.Module:  # noqa: ANN401
            loader = self._loader_of(model_config)
            found: nn.Module = loader.load_model(vllm_config=vllm_config, model_config=model_config, **more)
            return found

        def _loader_of(self, model_config: Any) -> Any:  # noqa: ANN401
            if model_config.quantization != METHOD:
                return super()
            from mixprec_runtime.adapters.vllm.loader import MixprecModelLoader

            return MixprecModelLoader(self.load_config)

    MixprecAutoLoader.__qualname__ = MixprecAutoLoader.__name__
    return MixprecAutoLoader


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
