"""What an engine layer is served with: its quantization method and, where it shows, the kernel behind it."""

from __future__ import annotations

__all__ = ["kernel_name", "method_name"]

from torch import nn


def method_name(layer: nn.Module) -> str:
    """``AutoGPTQLinearMethod (CPUWNA16LinearKernel)``, or just the module's class when it has no method.

    Methods keep their kernel under various names and some behind a scheme; it is told by its class name.
    """
    method = getattr(layer, "quant_method", None)
    if method is None:
        return type(layer).__name__
    scheme = getattr(layer, "scheme", None)
    kernel = kernel_name(layer)
    name = type(scheme if scheme is not None else method).__name__
    return f"{name} ({kernel})" if kernel else name


def kernel_name(layer: nn.Module) -> str | None:
    """The class of the kernel behind a layer's method; None where it has none that shows."""
    method, scheme = getattr(layer, "quant_method", None), getattr(layer, "scheme", None)
    kernel: str | None = getattr(method, "mixprec_kernel", None)
    holders = [holder for holder in (method, scheme) if holder is not None]
    return kernel or next((name for holder in holders for name in _kernels(holder)), None)


def _kernels(holder: object) -> list[str]:
    names = [type(value).__name__ for value in vars(holder).values()]
    return [name for name in names if "Kernel" in name]
