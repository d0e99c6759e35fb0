"""Ways to a kernel of SGLang: its own choice first, then what a user could ask for; the engine is not imported."""

from __future__ import annotations

__all__ = ["FORCED_MARLIN", "Way", "ways"]

from collections.abc import Collection
from dataclasses import dataclass

MARLIN = "_marlin"
FORCED_MARLIN = "SGLANG_FORCE_FP8_MARLIN"
BY_BLOCKS = frozenset({"fp8", "compressed_tensors"})  # methods whose FP8 by blocks follows the server's choice


@dataclass(frozen=True, kw_only=True)
class Way:
    """How SGLang is brought to a kernel. ``name`` is told of it where no layer could be made that shows one."""

    name: str
    quantization: str | None = None  # as for the server's argument; None: what the checkpoint's config leads to
    marlin: bool = False  # FP8 through Marlin, by the release's own environment variable
    block_backend: str | None = None  # what multiplies FP8 by blocks, as for the server's argument


def ways(own: str, *, known: Collection[str], device: str, blocks: bool) -> tuple[Way, ...]:
    """The ways for a checkpoint that SGLang itself serves with ``own`` of the methods that it knows, best first.

    ``blocks``: the layer has a scale per block.
    """
    found = [Way(name=own)]
    if own.endswith(MARLIN) and own.removesuffix(MARLIN) in known:
        plain = own.removesuffix(MARLIN)
        found.append(Way(name=plain, quantization=plain))
    if own in BY_BLOCKS and blocks and device == "cuda":
        found.append(Way(name=f"{own} through Triton", block_backend="triton"))
    if own == "fp8" and device == "cuda":
        found.append(Way(name="fp8 through Marlin", marlin=True))
    return tuple(found)
