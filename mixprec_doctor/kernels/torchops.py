"""Operators of torch itself: the names below ``torch.ops.aten`` that its Python source speaks of."""

from __future__ import annotations

__all__ = ["torch_operators"]

import re

from mixprec_doctor.source.sources import Sources

_MODULES = ("torch._meta_registrations", "torch._inductor.lowering", "torch._inductor.kernel.mm")
_NAME = re.compile(rb"\baten\.(_?[a-z]\w*)")
_WANTED = re.compile(
    rb"\b(_weight_int4pack_mm\w*|_weight_int8pack_mm\w*|_convert_weight_to_int4pack\w*|_scaled_mm\w*|_int_mm\w*)\b"
)


def torch_operators(sources: Sources) -> frozenset[str] | None:
    """Names that torch registers something for; None where its source is not at hand."""
    found: set[str] = set()
    for module in _MODULES:
        text = sources.text(module)
        if text is not None:
            found |= {name.decode() for name in (*_NAME.findall(text), *_WANTED.findall(text))}
    return frozenset(found) or None
