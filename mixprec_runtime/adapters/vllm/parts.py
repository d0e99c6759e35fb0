"""What this adapter brings to the code that all engines share."""

from __future__ import annotations

__all__ = ["PARTS"]

import logging

from mixprec_runtime.adapters.fallback import EngineParts
from mixprec_runtime.adapters.vllm.engineconfig import kept_from
from mixprec_runtime.adapters.vllm.methods import kernel_name, method_name
from mixprec_runtime.adapters.vllm.portable_method import (
    PlaceholderLinearMethod,
    PortableLinearMethod,
    refusals_here,
)

PARTS = EngineParts(
    portable=PortableLinearMethod,
    placeholder=PlaceholderLinearMethod,
    refusals=refusals_here,
    kept_from=kept_from,
    kernel_name=kernel_name,
    method_name=method_name,
    logger=logging.getLogger("vllm.mixprec"),
)
