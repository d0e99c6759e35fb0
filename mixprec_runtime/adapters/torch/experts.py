"""Experts whose weights stay compressed, a layer for each matrix, where transformers stacks them in one parameter."""

from __future__ import annotations

__all__ = ["CompressedExperts", "UnknownExperts"]

from typing import Any

import torch

from mixprec_doctor.errors import ExitCode, MixprecError

BOTH, DOWN = "gate_up_proj", "down_proj"
ROLES = {(BOTH, 0): "gate", (BOTH, 1): "up", (DOWN, 0): "down"}


class UnknownExperts(MixprecError):
    """A layer of experts that is not made as those of Mixtral and Qwen are."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, found: str) -> None:
        super().__init__(layer, found)
        self.layer = layer
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.layer}: wanted experts with gate, up and down, and no biases, found {self.found}\n"
            "  try: a rule that takes these experts from the base model"
        )


class CompressedExperts(torch.nn.Module):
    """What a stack of experts computes; ``put`` fills its places. Raises UnknownExperts for a stack of another kind."""

    def __init__(self, name: str, stack: Any) -> None:  # noqa: ANN401  transformers is untyped
        super().__init__()
        both, down = getattr(stack, BOTH, None), getattr(stack, DOWN, None)
        odd = any(getattr(stack, flag, False) for flag in ("has_bias", "is_transposed"))
        if both is None or down is None or odd or not getattr(stack, "is_concatenated", True):
            raise UnknownExperts(name, type(stack).__name__)
        self.num_experts, self.hidden, self.middle = down.shape[0], down.shape[1], down.shape[2]
        self._gating = type(stack)._apply_gate
        self.act_fn = stack.act_fn
        self.config = stack.config
        self._is_hf_initialized = True
        for role in ROLES.values():
            self.add_module(role, torch.nn.ModuleList([torch.nn.Module() for _ in range(self.num_experts)]))

    def shape(self, role: str) -> tuple[int, int]:
        """Inputs and outputs of a matrix."""
        return (self.middle, self.hidden) if role == "down" else (self.hidden, self.middle)

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum of what each token's experts make of it."""
        out = torch.zeros_like(hidden_states)
        for expert in top_k_index.unique().tolist():
            if expert >= self.num_experts:
                continue
            token, choice = torch.where(top_k_index == expert)
            chosen = hidden_states[token]
            both = torch.cat([self.gate[expert](chosen), self.up[expert](chosen)], dim=-1)
            made = self.down[expert](self._gating(self, both))
            out.index_add_(0, token, (made * top_k_weights[token, choice, None]).to(out.dtype))
        return out
