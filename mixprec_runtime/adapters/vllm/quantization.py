"""The quantization config that answers, layer by layer, with the engine's own method for that layer's source."""

from __future__ import annotations

__all__ = ["MixprecConfig"]

from collections.abc import Iterable
from typing import Any

import torch
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.fallback import with_choice, with_fallback
from mixprec_runtime.adapters.handed import Handed, Layouts
from mixprec_runtime.adapters.mixture import Mixture, UnplannedLayer, as_planned
from mixprec_runtime.adapters.proof import KernelVerdict
from mixprec_runtime.adapters.vllm.doors import open_doors
from mixprec_runtime.adapters.vllm.engineconfig import kept_from
from mixprec_runtime.adapters.vllm.experts import experts_method, is_experts, source_config
from mixprec_runtime.adapters.vllm.parts import PARTS
from mixprec_runtime.adapters.vllm.portable_experts import ExpertLayout
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.runfolder import METHOD


class MixprecConfig(Mixture, QuantizationConfig):
    """Dispatches to the engine's own configs, one per source, each made as the engine makes it.

    Each inner config has the engine's overrides and ``maybe_update_config``; the rest is as Mixture says.
    """

    parts = PARTS
    linear = LinearBase

    def __init__(
        self,
        modules: dict[str, str],
        formats: dict[str, str],
        inner: dict[str, QuantizationConfig],
        handed: dict[str, Handed] | None = None,
        layouts: Layouts | None = None,
        shared: dict[str, str] | None = None,
        scaled: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.plan(modules, formats, inner, handed=handed, layouts=layouts, shared=shared, scaled=scaled)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A worker gets this object from another process: from here on that process holds a mixture."""
        self.__dict__.update(state)
        open_doors()

    @classmethod
    def get_name(cls) -> str:
        """The quantization method's name."""
        return METHOD

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """Activation types that every source's config takes."""
        return self.supported_types()

    @classmethod
    def get_min_capability(cls) -> int:
        """None of its own; each inner config was checked by the engine when it was made."""
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        """The config stands in config.json of the run folder."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MixprecConfig:
        """Build the inner configs from the sources that the run folder's config names."""
        planned = as_planned(config)
        inner: dict[str, QuantizationConfig] = {}
        for name in planned.asked:
            only_experts = all(expert_layer(each) for each in planned.quantized(name))
            found = source_config(planned.folders[name], only_experts=only_experts)
            if found is not None:
                inner[name] = found
        return cls(
            planned.modules, planned.formats, inner, planned.handed, planned.layouts, planned.shared, planned.scaled
        )

    def apply_vllm_mapper(self, hf_to_vllm_mapper: Any) -> None:  # noqa: ANN401
        """Rename the planned modules as the model renames checkpoint names."""
        self.rename(hf_to_vllm_mapper)
        for config in self.inner.values():
            config.apply_vllm_mapper(hf_to_vllm_mapper)

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """The engine's own method for the layer's source; None where the engine's default serves."""
        if hasattr(layer, "kv_cache_dtype"):
            return self.cache_method(layer, prefix)
        source = self.source_of(prefix)
        if source is None:
            if isinstance(layer, LinearBase):
                raise UnplannedLayer(prefix, self.members(prefix))
            return None
        if is_experts(layer):
            return self._experts_method(layer, prefix, source)
        handed = self.handed_to(layer, prefix)
        if handed is not None and not handed.native:
            return self.own_method(handed, prefix)
        config, kind = self.inner.get(source), self.kind_of(prefix)
        if config is None or kind is FormatKind.PLAIN:
            return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None
        config.packed_modules_mapping = self.packed_modules_mapping
        with kept_from(handed.without if handed is not None else ()):
            method = config.get_quant_method(layer, self.asked_as(config, prefix))
        if method is None or not isinstance(layer, LinearBase | ParallelLMHead):
            return method
        if handed is not None:
            return with_choice(method, handed, PARTS)
        return with_fallback(method, kind, self.proofs, lambda: self.layout(source, prefix), PARTS)

    def _experts_method(self, layer: torch.nn.Module, prefix: str, source: str) -> QuantizeMethodBase:
        config, kind = self.inner.get(source), self.kind_of(prefix)

        def ask() -> QuantizeMethodBase | None:
            if config is None:
                return None
            config.packed_modules_mapping = self.packed_modules_mapping
            return config.get_quant_method(layer, prefix)

        def layout() -> ExpertLayout | None:
            names = self.experts.examples(prefix)
            if names is None or self.layouts is None:
                return None
            inner, outer = (self.layouts.of(source, self.names[name]) for name in names)
            return ExpertLayout(layer=prefix, inner=inner, outer=outer)

        def refused(what: str, fault: str) -> None:
            self.proofs[what, source, kind] = KernelVerdict(method=what, shape=(0, 0), fault=fault)

        wanted = None if kind is FormatKind.PLAIN else ask
        return experts_method(layer, prefix, ask=wanted, layout=layout, refused=refused)

    def get_cache_scale_mapper(self) -> Any:  # noqa: ANN401
        """How the engine renames scales of the key-value cache: as it does for any of the sources (since 0.23)."""
        mapper = super().get_cache_scale_mapper()
        for config in self.inner.values():
            mapper |= config.get_cache_scale_mapper()
        return mapper

    def get_cache_scale(self, name: str) -> str | None:
        """The engine's name of a scale of the key-value cache, where a source's config knows it (before 0.23)."""
        known = (config.get_cache_scale(name) for config in self.inner.values())
        return next((found for found in known if found is not None), None)
