"""A linear layer whose weight stays as a checkpoint holds it, multiplied by a portable kernel."""

from __future__ import annotations

__all__ = ["CompressedLinear", "MovedLayer", "NoPortableKernel", "kernel_for"]

from collections.abc import Callable

import torch
from torch.nn import Parameter

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.layers import DTYPES
from mixprec_runtime.adapters.making import portable_refusals
from mixprec_runtime.adapters.portable_method import Stored
from mixprec_runtime.kernels import compiled
from mixprec_runtime.kernels.portable import State, apply, prepare

COMPILED = frozenset({compiled.INT4, compiled.BYTES})


class NoPortableKernel(MixprecError):
    """A layer that none of mixprec's kernels serves here."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, form: str, reasons: tuple[str, ...]) -> None:
        super().__init__(layer, form, reasons)
        self.layer = layer
        self.form = form
        self.reasons = reasons

    def __str__(self) -> str:
        return f"no kernel serves {self.layer} ({self.form}) here: {'; '.join(self.reasons)}"


class MovedLayer(MixprecError):
    """A compressed layer that is to lie elsewhere, or to be of another type, than its kernel was made for."""

    def __init__(self, kernel: str, was: str, wanted: str) -> None:
        super().__init__(kernel, was, wanted)
        self.kernel = kernel
        self.was = was
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"weights of {self.kernel} are laid out for {self.was}, and cannot become {self.wanted}\n"
            "  try: load the mixture anew, with device= and dtype="
        )


class _Shaped:
    def __init__(self, form: Format, inputs: int, outputs: int) -> None:
        self.format = form
        self.shape = LinearShape(
            inputs=inputs, outputs=(outputs,), full_inputs=inputs, full_outputs=(outputs,)
        )  # fmt: skip


def kernel_for(layer: str, form: Format, *, inputs: int, outputs: int, dtype: torch.dtype, device: torch.device) -> str:
    """The best portable kernel for a layer. Raises NoPortableKernel with what each says against it."""
    capability = None
    if device.type == "cuda":
        high, low = torch.cuda.get_device_capability(device)
        capability = 10 * high + low
    kind = "rocm" if device.type == "cuda" and torch.version.hip else device.type
    asked = portable_refusals(
        _Shaped(form, inputs, outputs),
        dtype=str(dtype).removeprefix("torch."),
        device=kind,
        capability=capability,
    )
    against: list[str] = []
    for kernel, reasons in asked:
        if not reasons:
            return kernel
        against += [f"{kernel}: {reason}" for reason in reasons]
    raise NoPortableKernel(layer, form.name, tuple(against))


class CompressedLinear(torch.nn.Module):
    """``x @ weight.T + bias`` with a compressed weight; loaded between ``make_room`` and ``settle``."""

    def __init__(
        self, kernel: str, form: Format, stored: Stored, *, inputs: int, outputs: int, bias: Parameter | None
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.format = form
        self.in_features = inputs
        self.out_features = outputs
        self.register_parameter("bias", bias)
        self._stored = {suffix: of for suffix, of in stored.items() if suffix != "bias"}
        self._held: tuple[str, ...] = ()
        self.state: State = {}
        self._product: compiled.Product | None = None
        self._is_hf_initialized = True  # transformers draws numbers for modules that do not say so

    def make_room(self, device: torch.device) -> None:
        """A parameter for each of the checkpoint's tensors, to be filled."""
        for suffix, (dtype, shape) in self._stored.items():
            room = torch.empty(shape, dtype=DTYPES[dtype], device=device)
            self.register_parameter(suffix, Parameter(room, requires_grad=False))

    def settle(self, dtype: torch.dtype) -> None:
        """Bring what was filled into the kernel's order, and let it go."""
        tensors = {name: getattr(self, name).data for name in self._stored}
        for name in self._stored:
            delattr(self, name)
        with torch.no_grad():
            own = compiled.prepare(self.format, tensors, [self.out_features])
            if own is None:
                state = prepare(self.kernel, self.format, tensors, [self.out_features], dtype)
            else:
                self.kernel, state = own
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                self.register_parameter(f"held_{name}", Parameter(value, requires_grad=False))
            else:
                setattr(self, f"held_{name}", value)
        self._held = tuple(state)
        self._gather()

    def _gather(self) -> None:
        """Looking parameters up by name for each token would cost a tenth of a small layer's time."""
        self.state = {name: getattr(self, f"held_{name}") for name in self._held}
        self._product = compiled.product(self.kernel, self.state) if self.kernel in COMPILED else None

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> CompressedLinear:
        before = {name: (held.device, held.dtype) for name, held in self.named_parameters()}
        super()._apply(fn, recurse)  # how torch moves a module to another device or type
        for name, held in self.named_parameters():
            if (held.device, held.dtype) != before[name] and name.startswith("held_"):
                raise MovedLayer(self.kernel, f"{before[name][0]}, {before[name][1]}", f"{held.device}, {held.dtype}")
        self._gather()
        return self

    def __getstate__(self) -> dict[str, object]:
        """Without the product: it knows addresses, and a copy lies elsewhere."""
        return {**self.__dict__, "_product": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self._gather()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output, in the type of ``x``."""
        product = self._product
        if product is None:
            return apply(self.kernel, x, self.state, self.bias)
        out = product(x.view(-1, self.in_features) if x.is_contiguous() else x.reshape(-1, self.in_features))
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Sizes, format and kernel, as printing the model shows them."""
        return f"{self.in_features} -> {self.out_features}, {self.format.name}, {self.kernel}"
