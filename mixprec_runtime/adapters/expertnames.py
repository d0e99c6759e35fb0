"""The planned modules of layers of experts, by the names that an engine gives the layers."""

from __future__ import annotations

__all__ = ["ExpertNames"]

from collections.abc import Iterable

from mixprec_runtime.planning.experts import DOWN, GATE, expert_layers, role_of


class ExpertNames:
    """The planned modules of each layer of experts, by the engine's names."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._layers = expert_layers(modules)

    def members(self, prefix: str) -> tuple[str, ...]:
        """The modules below an engine's layer, or below the layer that owns it; empty for any other.

        Newer releases of vLLM keep the weights in a module inside of the layer.
        """
        return self._layers.get(prefix) or self._layers.get(prefix.rpartition(".")[0], ())

    def examples(self, prefix: str) -> tuple[str, str] | None:
        """One gate and one down; None where experts do not lie one by one."""
        found = {role_of(member): member for member in reversed(self.members(prefix))}
        return (found[GATE], found[DOWN]) if GATE in found and DOWN in found else None
