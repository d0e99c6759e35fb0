"""The quantization config that answers, layer by layer, with the engine's own method for that layer's source."""

from __future__ import annotations

__all__ = ["MixprecConfig"]

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import sglang.srt.layers.quantization  # noqa: F401  before the layers: earlier releases import in a circle
import torch
from sglang.srt.distributed.parallel_state import get_tensor_model_parallel_world_size
from sglang.srt.layers.linear import ColumnParallelLinear, LinearBase, RowParallelLinear
from sglang.srt.layers.moe.fused_moe_triton import FusedMoE
from sglang.srt.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from sglang.srt.layers.radix_attention import RadixAttention
from sglang.srt.layers.vocab_parallel_embedding import ParallelLMHead

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.experts import UnservableExperts
from mixprec_runtime.adapters.fallback import with_choice, with_fallback, without_engine
from mixprec_runtime.adapters.handed import Handed, Layouts
from mixprec_runtime.adapters.making import FUSED
from mixprec_runtime.adapters.mixture import Mixture, UnplannedLayer, as_planned
from mixprec_runtime.adapters.proof import KernelVerdict
from mixprec_runtime.adapters.sglang.engineconfig import engine_config, known_methods, taking
from mixprec_runtime.adapters.sglang.methods import kernel_name
from mixprec_runtime.adapters.sglang.parts import PARTS
from mixprec_runtime.adapters.sglang.unquantized import UnquantizedLinearMethod
from mixprec_runtime.adapters.sglang.ways import ways
from mixprec_runtime.method import METHOD

UNITED = {name: list(parts) for parts, name in FUSED.items()}
PACKED = "packed_modules_mapping"


class MixprecConfig(Mixture, QuantizationConfig):
    """Dispatches to the engine's own configs, one per source, each made as the engine makes it.

    ``folders`` are those of the sources: a way to another kernel makes a source's config once more.
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
        packed: Mapping[str, list[str]] | None = None,
        folders: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.packed_modules_mapping = {**UNITED, **(packed or {})}
        self.folders = dict(folders or {})
        self.refused: dict[str, str] = {}  # sources whose config the engine refuses here, and why
        self.plan(modules, formats, inner, handed=handed, layouts=layouts, shared=shared, scaled=scaled)

    @classmethod
    def get_name(cls) -> str:
        """The quantization method's name."""
        return METHOD

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """All: a source whose config does not take the model's type is served by portable kernels."""
        return [torch.bfloat16, torch.half, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        """None of its own; each inner config was checked by the engine when it was made."""
        return 0

    @staticmethod
    def get_config_filenames() -> list[str]:
        """The config stands in config.json of the run folder."""
        return []

    def get_scaled_act_names(self) -> list[str]:
        """None: no source's activations are scaled by the engine."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MixprecConfig:
        """Build the inner configs from the sources that the run folder's config names.

        The engine adds to it which layers the model's class says that it fuses.
        """
        planned = as_planned(config)
        packed = {**UNITED, **(config.get(PACKED) or {})}
        inner: dict[str, QuantizationConfig] = {}
        refused: dict[str, str] = {}
        for name in planned.asked:
            try:
                found = _config_of(planned.folders[name], packed=packed)
            except Exception as fault:  # noqa: BLE001  whatever the engine raises; portable kernels may serve the source
                refused[name] = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
                continue
            if found is not None:
                inner[name] = found
        made = cls(
            planned.modules, planned.formats, inner, planned.handed, planned.layouts, planned.shared, planned.scaled,
            packed, planned.folders,
        )  # fmt: skip
        for name, words in refused.items():
            made._note_refusal(name, words)
        return made

    def update_packed_modules_mapping(self, mapping: Mapping[str, list[str]]) -> None:
        """Take over what a model says of its fused layers; it says nothing of most."""
        self.packed_modules_mapping = {**self.packed_modules_mapping, **mapping}

    def apply_weight_name_mapper(self, hf_to_sglang_mapper: Any) -> None:  # noqa: ANN401
        """Rename the planned modules as the model renames checkpoint names."""
        self.rename(hf_to_sglang_mapper)
        for config in self.inner.values():
            config.apply_weight_name_mapper(hf_to_sglang_mapper)

    def members(self, prefix: str) -> tuple[str, ...]:
        """The checkpoint modules that an engine layer unites; itself, where the checkpoint has it by that name."""
        return (prefix,) if prefix in self.modules else super().members(prefix)

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """The engine's own method for the layer's source; None where the engine's default serves."""
        if isinstance(layer, RadixAttention):
            return self.cache_method(layer, prefix)
        source = self.source_of(prefix)
        if source is None:
            if isinstance(layer, LinearBase):
                raise UnplannedLayer(prefix, self.members(prefix))
            return None
        config, kind = self.inner.get(source), self.kind_of(prefix)
        if isinstance(layer, FusedMoE):
            return self._experts_method(layer, prefix, source, kind)
        handed = self.handed_to(layer, prefix)
        if handed is not None and not handed.native:
            return self.own_method(handed, prefix)
        if kind is FormatKind.PLAIN or (config is None and source not in self.refused):
            return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None
        if config is None or self._refuses_type(config, source):
            return without_engine(self.layout(source, prefix), PARTS)
        if handed is not None and handed.without:
            return self._next_method(layer, prefix, source, handed)
        try:
            method = self._ask(config, layer, prefix)
        except Exception as fault:  # noqa: BLE001  whatever the engine raises is its verdict on this layer
            self._note_fault(config, source, kind, fault)
            return without_engine(self.layout(source, prefix), PARTS)
        if method is None or not isinstance(layer, LinearBase | ParallelLMHead):
            return method
        if handed is not None:
            return with_choice(method, handed, PARTS)
        return with_fallback(method, kind, self.proofs, lambda: self.layout(source, prefix), PARTS)

    def handed_to(self, layer: torch.nn.Module, prefix: str) -> Handed | None:
        """What was proved of a layer before the start; None where nothing was, or of another shape.

        The engine asks before a layer knows its part of the whole.
        """
        handed = self.handed.get(self.members(prefix)[0])
        if handed is None or not isinstance(layer, LinearBase):
            return None
        ranks = get_tensor_model_parallel_world_size()
        inputs = layer.input_size // (ranks if isinstance(layer, RowParallelLinear) else 1)
        outputs = layer.output_size // (ranks if isinstance(layer, ColumnParallelLinear) else 1)
        return handed if (inputs, outputs) == (handed.inputs, sum(handed.outputs)) else None

    def _ask(self, config: Any, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:  # noqa: ANN401
        """A source's config for a layer's method."""
        config.packed_modules_mapping = self.packed_modules_mapping
        return config.get_quant_method(layer, self.asked_as(config, prefix))

    def _refuses_type(self, config: QuantizationConfig, source: str) -> bool:
        """Whether a source's config does not take the type that the model is made in."""
        taken = config.get_supported_act_dtypes()
        if torch.get_default_dtype() in taken:
            return False
        if source not in self.refused:
            names = ", ".join(str(each).removeprefix("torch.") for each in taken)
            self._note_refusal(source, f"{config.get_name()} takes {names}, not {torch.get_default_dtype()}")
        return True

    def _note_fault(self, config: QuantizationConfig, source: str, kind: FormatKind, fault: Exception) -> None:
        key = (config.get_name(), source, kind, str(fault))
        if key not in self.proofs:
            words = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
            self.proofs[key] = KernelVerdict(method=f"{config.get_name()} of {source}", shape=(0, 0), fault=words)
            told = "mixprec: %s: %s; portable kernels take its place"
            PARTS.logger.warning(told, self.proofs[key].method, words)

    def _note_refusal(self, source: str, fault: str) -> None:
        what = f"the engine's config of {source}"
        self.refused[source] = fault
        self.proofs[what, source] = KernelVerdict(method=what, shape=(0, 0), fault=fault)
        PARTS.logger.warning("mixprec: %s: %s; portable kernels take its place", what, fault)

    def _next_method(
        self, layer: torch.nn.Module, prefix: str, source: str, handed: Handed
    ) -> QuantizeMethodBase | None:
        """The method on the first way whose kernel has not failed, made and kept on that way."""
        own = self.inner[source]
        form = self.layout(source, prefix)[0]
        device = torch.get_default_device().type
        for way in ways(own.get_name(), known=known_methods(), device=device, blocks=form.block is not None):
            if way.name in handed.without:
                continue
            with taking(way):
                config = own
                if way.quantization is not None:
                    config = _config_of(
                        self.folders[source], packed=self.packed_modules_mapping, quantization=way.quantization
                    )
                method = self._ask(config, layer, prefix)
            shown = SimpleNamespace(quant_method=method, scheme=getattr(layer, "scheme", None))
            if kernel_name(shown) not in handed.without:
                return with_choice(method, handed, PARTS)
        return self._ask(own, layer, prefix)

    def _experts_method(
        self, layer: torch.nn.Module, prefix: str, source: str, kind: FormatKind
    ) -> QuantizeMethodBase | None:
        """The engine's method for experts; None for plain ones, which its default serves. Raises UnservableExperts."""
        config = self.inner.get(source)
        if source in self.refused or (config is not None and self._refuses_type(config, source)):
            raise UnservableExperts(prefix, (self.refused[source],))
        if config is None or kind is FormatKind.PLAIN:
            return None
        try:
            method = self._ask(config, layer, prefix)
        except Exception as fault:
            words = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
            raise UnservableExperts(prefix, (words,)) from fault
        if method is None:
            raise UnservableExperts(prefix, (f"{config.get_name()} of this release has no method for experts",))
        return method


def _config_of(
    folder: str, *, packed: Mapping[str, list[str]], quantization: str | None = None
) -> QuantizationConfig | None:
    """The engine's config of a source, in the type that the source names, else in float16."""
    try:
        return engine_config(folder, "auto", quantization=quantization, packed=packed)
    except ValueError:  # a method that takes float16 alone, say: what type is served is asked of all sources together
        return engine_config(folder, "float16", quantization=quantization, packed=packed)
