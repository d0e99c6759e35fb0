"""What this adapter brings to the code that all engines share."""

from __future__ import annotations

__all__ = ["PARTS"]

import contextlib
import logging
from collections.abc import Iterable, Iterator

from mixprec_runtime.adapters.fallback import EngineParts
from mixprec_runtime.adapters.sglang.methods import kernel_name, method_name
from mixprec_runtime.adapters.sglang.portable_method import (
    PlaceholderLinearMethod,
    PortableLinearMethod,
    refusals_here,
)


@contextlib.contextmanager
def _as_it_is(kernels: Iterable[str]) -> Iterator[None]:
    """SGLang passes over no kernel; a way to the next one is gone when the method is made (``ways``)."""
    yield


PARTS = EngineParts(
    portable=PortableLinearMethod,
    placeholder=PlaceholderLinearMethod,
    refusals=refusals_here,
    kept_from=_as_it_is,
    kernel_name=kernel_name,
    method_name=method_name,
    logger=logging.getLogger("sglang.mixprec"),
)
