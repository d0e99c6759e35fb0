"""A vLLM method of our own for experts: for layers of which no method of the engine can serve the experts here.

The engine routes, loads and adds up over ranks; the experts' own products are portable kernels'.
"""

from __future__ import annotations

__all__ = ["ExpertLayout", "PortableExpertsMethod", "activation_of"]

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Parameter
from torch.nn import functional as F
from vllm.model_executor.layers.fused_moe import FusedMoEMethodBase

from mixprec_doctor.records.format import Format
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.experts import (
    INNER,
    ORDERS,
    OUTER,
    ExpertPart,
    Stored,
    UnservableExperts,
    expert_states,
    experts_output,
    linear_of,
    part_tensors,
)
from mixprec_runtime.adapters.vllm.portable_method import refusals_here
from mixprec_runtime.kernels.portable import State

GATED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda gate: F.gelu(gate, approximate="tanh"),
    "gelu_pytorch_tanh": lambda gate: F.gelu(gate, approximate="tanh"),
}


def activation_of(layer: torch.nn.Module) -> str:
    """The name of the function between the products; releases hold it as text or as an enumeration."""
    found: Any = layer.activation
    return str(getattr(found, "value", found))


@dataclass(frozen=True, kw_only=True)
class ExpertLayout:
    """How one expert's gate (and up) and its down lie in the checkpoint."""

    layer: str
    inner: tuple[Format, Stored]
    outer: tuple[Format, Stored]


@dataclass(frozen=True)
class _Asked:
    format: Format
    shape: LinearShape


class PortableExpertsMethod(FusedMoEMethodBase):
    """Experts as a checkpoint holds them, computed one after the other."""

    mixprec_kernel: str

    def __init__(self, moe: Any, layout: ExpertLayout) -> None:  # noqa: ANN401  the engine's record
        super().__init__(moe)
        self.layout = layout

    def create_weights(
        self,
        layer: torch.nn.Module,
        num_experts: int,
        hidden_size: int,
        intermediate_size_per_partition: int,
        params_dtype: torch.dtype,
        **extra: Any,  # noqa: ANN401
    ) -> None:
        """A parameter for each tensor of the checkpoint. Raises UnservableExperts."""
        if activation_of(layer) not in GATED:
            raise UnservableExperts(self.layout.layer, (f"the activation {activation_of(layer)} is not known here",))
        ranks = _outputs(*self.layout.inner) // intermediate_size_per_partition
        self.parts = tuple(
            ExpertPart(name=name, format=form, stored=stored, outputs=outputs, inputs=inputs, ranks=ranks)
            for name, (form, stored), outputs, inputs in (
                (INNER, self.layout.inner, intermediate_size_per_partition, hidden_size),
                (OUTER, self.layout.outer, hidden_size, intermediate_size_per_partition),
            )
        )
        self.kernels = {part.name: self._kernel(part, params_dtype) for part in self.parts}
        self.mixprec_kernel = " and ".join(dict.fromkeys(self.kernels.values()))
        self.params_dtype = params_dtype
        for part in self.parts:
            try:
                tensors = tuple(part_tensors(part, num_experts))
            except ValueError as fault:
                raise UnservableExperts(self.layout.layer, (f"portable experts: {fault} are not known here",)) from None
            for tensor in tensors:
                parameter = Parameter(torch.empty(tensor.shape, dtype=tensor.dtype), requires_grad=False)
                loader = _order_loader(layer) if tensor.suffix in ORDERS else extra["weight_loader"]
                for mark, value in {**tensor.marks, "weight_loader": loader}.items():
                    setattr(parameter, mark, value)
                layer.register_parameter(tensor.name, parameter)

    def _kernel(self, part: ExpertPart, dtype: torch.dtype) -> str:
        widths = part.widths if not part.format.act_order else (part.outputs,)
        shape = LinearShape(inputs=part.inputs, outputs=widths, full_inputs=part.inputs, full_outputs=widths)
        reasons = []
        for kernel, why in refusals_here(_Asked(part.format, shape), dtype):
            if not why:
                return kernel
            reasons.append(f"{kernel}: {'; '.join(why)}")
        raise UnservableExperts(self.layout.layer, tuple(reasons))

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Bring the weights into the kernels' order, part by part; what was loaded is let go."""
        self.numbers: dict[str, dict[str, int]] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        for part in self.parts:
            tensors = {suffix: getattr(layer, f"{part.name}_{suffix}").data for suffix in part.stored}
            kept, numbers = expert_states(part, self.kernels[part.name], tensors, self.params_dtype)
            for suffix in part.stored:
                delattr(layer, f"{part.name}_{suffix}")
            del tensors
            for name, value in kept.items():
                setattr(layer, f"mixprec_{part.name}_{name}", Parameter(value, requires_grad=False))
            self.numbers[part.name], self.names[part.name] = numbers, tuple(kept)

    def get_fused_moe_quant_config(self, layer: torch.nn.Module) -> None:
        """None: nothing of this is for the engine's kernels."""

    @property
    def is_monolithic(self) -> bool:
        """The engine routes."""
        return False

    def apply(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401
        """The experts' output for the router's choice; releases before 0.15 leave it to the method to ask for it."""
        given = inspect.signature(FusedMoEMethodBase.apply).bind(self, layer, *args, **kwargs).arguments
        x = given["x"]
        weights, ids = (
            (given["topk_weights"], given["topk_ids"]) if "topk_ids" in given else _routed(layer, given)
        )  # fmt: skip
        local = getattr(layer, "expert_map", None)
        if local is not None:
            ids = local.to(ids.device)[ids.long()]
        count = next(getattr(layer, f"mixprec_{INNER}_{name}").shape[0] for name in self.names[INNER])
        gated = GATED[activation_of(layer)]
        inner, outer = (linear_of(part, self.kernels[part.name]) for part in self.parts)

        def one(expert: int, tokens: torch.Tensor) -> torch.Tensor:
            gate, up = inner(tokens, self._state(layer, INNER, expert)).chunk(2, dim=-1)
            return outer(gated(gate) * up, self._state(layer, OUTER, expert))

        return experts_output(
            x,
            weights,
            ids,
            experts=range(count),
            one=one,
            on_input=bool(getattr(layer, "apply_router_weight_on_input", False)),
            everywhere=x.is_cuda and torch.cuda.is_current_stream_capturing(),
        )

    def _state(self, layer: torch.nn.Module, part: str, expert: int) -> State:
        tensors = {name: getattr(layer, f"mixprec_{part}_{name}")[expert] for name in self.names[part]}
        return {**tensors, **self.numbers[part]}


def _outputs(form: Format, stored: Stored) -> int:
    """Outputs of a whole matrix, by a tensor that has a number for each."""
    if "scales" in stored:
        return stored["scales"][1][1]
    return stored["weight" if "weight" in stored else "weight_packed"][1][0]


def _order_loader(layer: Any) -> Callable[..., bool]:  # noqa: ANN401  the engine's layer
    """Fills the order of groups of one matrix; a parameter without room for it stays empty."""

    def load(
        param: Parameter,
        loaded_weight: torch.Tensor,
        weight_name: str,
        shard_id: str,
        expert_id: int,
        return_success: bool = False,
    ) -> bool:
        local = layer._map_global_expert_id_to_local_expert_id(expert_id)
        if local == -1:
            return False
        if param.numel():
            param.data[local][1 if shard_id == "w3" else 0].copy_(loaded_weight)
        return True

    return load


def _routed(layer: Any, given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    """The router's choice, asked of the router that is given, else of the layer."""
    router = given.get("router", layer)
    select = router.select_experts
    known = inspect.signature(select).parameters
    wanted = {**given, "hidden_states": given["x"]}
    found = select(**{name: wanted[name] for name in known if name in wanted})
    return found[0], found[1]
