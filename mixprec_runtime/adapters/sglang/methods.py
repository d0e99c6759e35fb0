"""What a layer of SGLang is served with: its linear method or scheme, and the kernel behind it as far as that shows."""

from __future__ import annotations

__all__ = ["kernel_name", "method_name"]

from typing import Any


def method_name(layer: Any) -> str:  # noqa: ANN401  a layer of the engine
    """The class of the layer's scheme, where it has one, else that of its method, else its own."""
    return type(next(iter(_holders(layer)), layer)).__name__


def kernel_name(layer: Any) -> str:  # noqa: ANN401
    """A name that differs for whatever computes the layer.

    Newer methods keep an object for it; FP8 by blocks a function; elsewhere the method itself calls the operator, and
    Marlin is a switch of it. The first of these that shows is the name.
    """
    own: str | None = getattr(layer.quant_method, "mixprec_kernel", None)
    return own or next(name for holder in _holders(layer) for name in [*_inner(holder), method_name(layer)])


def _holders(layer: Any) -> list[object]:  # noqa: ANN401
    holders = (getattr(layer, "scheme", None), getattr(layer, "quant_method", None))
    return [holder for holder in holders if holder is not None]


def _inner(holder: object) -> list[str]:
    values = vars(holder)
    names = [type(value).__name__ for value in values.values() if type(value).__name__.endswith("Kernel")]
    if values.get("use_marlin"):
        names.append(f"{type(holder).__name__} with Marlin")
    if values.get("weight_block_size"):
        functions = [value for name, value in values.items() if name.startswith("w8a8_") and callable(value)]
        names += [getattr(function, "__name__", type(function).__name__) for function in functions]
    return names
