"""The quantization config that answers, layer by layer, with the engine's own method for that layer's source."""

from __future__ import annotations

__all__ = ["MixprecConfig", "SplitUnit", "UnplannedLayer"]

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.adapters.portable_method import Stored
from mixprec_runtime.adapters.vllm.doors import open_doors
from mixprec_runtime.adapters.vllm.engineconfig import kept_from
from mixprec_runtime.adapters.vllm.experts import ExpertNames, experts_method, is_experts, source_config
from mixprec_runtime.adapters.vllm.fallback import with_choice, with_fallback
from mixprec_runtime.adapters.vllm.handed import Handed, Layouts, read_handed
from mixprec_runtime.adapters.vllm.portable_experts import ExpertLayout
from mixprec_runtime.adapters.vllm.portable_method import PlaceholderLinearMethod, PortableLinearMethod
from mixprec_runtime.adapters.vllm.proof import KernelVerdict
from mixprec_runtime.kernels.placeholder import Placeholder
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.runfolder import METHOD

WEIGHT, PLAIN = ".weight", FormatKind.PLAIN.value


def renamed(table: Mapping[str, Any], mapper: Any) -> dict[str, Any]:  # noqa: ANN401
    """A table by the engine's names of modules; the engine's mappers rename tensors, by what surrounds their names."""
    found = mapper.apply_dict({f"{module}{WEIGHT}": value for module, value in table.items()})
    return {name.removesuffix(WEIGHT): value for name, value in found.items()}


class UnplannedLayer(MixprecError):
    """A linear layer of the engine's model for which the plan names no source."""

    def __init__(self, prefix: str, members: tuple[str, ...]) -> None:
        super().__init__(prefix, members)
        self.prefix = prefix
        self.members = members

    def __str__(self) -> str:
        return f"no source is planned for {self.prefix} (checkpoint names: {', '.join(self.members)})"


class SplitUnit(MixprecError):
    """A fused layer of the engine whose parts the plan takes from different sources."""

    def __init__(self, prefix: str, sources: Mapping[str, str]) -> None:
        super().__init__(prefix, sources)
        self.prefix = prefix
        self.sources = sources

    def __str__(self) -> str:
        parts = ", ".join(f"{module} from {source}" for module, source in self.sources.items())
        return f"the engine keeps {self.prefix} in one parameter, but the plan splits it: {parts}"


class MixprecConfig(QuantizationConfig):
    """Dispatches to the engine's own configs, one per source, each made as the engine makes it.

    ``modules`` maps checkpoint names of modules to source names. ``inner`` maps each quantized source to the
    config that the engine itself builds for that checkpoint folder (with its overrides and
    ``maybe_update_config``); a source without quantization has none. ``handed`` is what was proved of a module's layer
    before the start. ``proofs`` remembers which of the engine's kernels ran here, per method and shape, for layers of
    which nothing was. ``shared`` names the fused unit of each module that the plan lets come from another source than
    the unit's other parts; they are of one scheme, and the config of the first part's source serves the unit.
    ``scaled`` are the attentions for whose key-value cache the plan has scales.
    """

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
        self.names = {module: module for module in modules}  # the engine's name: the checkpoint's
        self.layouts = layouts
        self.modules = modules
        self.formats = formats
        self.inner = inner
        self.handed = handed or {}
        self.shared = shared or {}
        self.scaled = dict.fromkeys(scaled, "")
        self.proofs: dict[tuple[object, ...], KernelVerdict] = {}
        self.experts = ExpertNames(modules)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A worker gets this object from another process: from here on that process holds a mixture."""
        self.__dict__.update(state)
        open_doors()

    def __repr__(self) -> str:
        methods = {name: config.get_name() for name, config in self.inner.items()}
        return f"MixprecConfig({methods})"

    @classmethod
    def get_name(cls) -> str:
        """The quantization method's name."""
        return METHOD

    def get_supported_act_dtypes(self) -> list[torch.dtype]:
        """Activation types that every source's config takes."""
        supported = [torch.bfloat16, torch.half, torch.float32]
        for config in self.inner.values():
            supported = [dtype for dtype in supported if dtype in config.get_supported_act_dtypes()]
        return supported

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
        """Build the inner configs from the sources that the run folder's config names.

        A source of which every quantized layer is served by mixprec itself is not shown to the engine, which may
        refuse its config.
        """
        modules, formats = dict(config["modules"]), dict(config["formats"])
        shared, scaled = dict(config.get("shared", {})), tuple(config.get("cache_scales", ()))
        layouts = Layouts({name: source["path"] for name, source in config["sources"].items()})
        handed = read_handed(config, layouts)
        asked = {
            modules[name]
            for name, kind in formats.items()
            if name in scaled or (kind != PLAIN and (name not in handed or handed[name].native))
        }
        inner: dict[str, QuantizationConfig] = {}
        for name, source in config["sources"].items():
            if source["quantization_config"] is None or name not in asked:
                continue
            quantized = (each for each, kind in formats.items() if kind != PLAIN and modules[each] == name)
            found = source_config(source["path"], only_experts=all(expert_layer(each) for each in quantized))
            if found is not None:
                inner[name] = found
        return cls(modules, formats, inner, handed, layouts, shared, scaled)

    def apply_vllm_mapper(self, hf_to_vllm_mapper: Any) -> None:  # noqa: ANN401
        """Rename the planned modules as the model renames checkpoint names."""
        for table in ("modules", "formats", "names", "handed", "shared", "scaled"):
            setattr(self, table, renamed(getattr(self, table), hf_to_vllm_mapper))
        self.experts = ExpertNames(self.modules)
        for config in self.inner.values():
            config.apply_vllm_mapper(hf_to_vllm_mapper)

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """The engine's own method for the layer's source; None where the engine's default serves."""
        if hasattr(layer, "kv_cache_dtype"):
            return self._cache_method(layer, prefix)
        source = self.source_of(prefix)
        if source is None:
            if isinstance(layer, LinearBase):
                raise UnplannedLayer(prefix, self.members(prefix))
            return None
        if is_experts(layer):
            return self._experts_method(layer, prefix, source)
        handed = self.handed_to(layer, prefix)
        if handed is not None and not handed.native:
            return self._own_method(handed, prefix)
        config, kind = self.inner.get(source), FormatKind(self.formats[self.members(prefix)[0]])
        if config is None or kind is FormatKind.PLAIN:
            return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None
        config.packed_modules_mapping = self.packed_modules_mapping
        with kept_from(handed.without if handed is not None else ()):
            method = config.get_quant_method(layer, self._asked_as(config, prefix))
        if method is None or not isinstance(layer, LinearBase | ParallelLMHead):
            return method
        if handed is not None:
            return with_choice(method, handed)
        return with_fallback(method, kind, self.proofs, lambda: self._layout(source, prefix))

    def _asked_as(self, config: QuantizationConfig, prefix: str) -> str:
        """The name under which a source's config is asked for a layer.

        GPTQ's overrides by pattern (``dynamic``) name modules of the checkpoint; the engine holds them against its own
        name of a fused layer, which they miss. All parts of it are of one format, so the first one stands for it.
        """
        return self.members(prefix)[0] if getattr(config, "dynamic", None) else prefix

    def _experts_method(self, layer: torch.nn.Module, prefix: str, source: str) -> QuantizeMethodBase:
        config, kind = self.inner.get(source), FormatKind(self.formats[self.members(prefix)[0]])

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

    def _cache_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """What an attention loads the scales of its cache with; None where the plan has none for it."""
        attention = next((name for name in (prefix, prefix.rpartition(".")[0]) if name in self.scaled), None)
        config = self.inner.get(self.modules[attention]) if attention is not None else None
        return config.get_quant_method(layer, prefix) if config is not None else None

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

    def handed_to(self, layer: torch.nn.Module, prefix: str) -> Handed | None:
        """What was proved of a layer before the start; None where nothing was, or of another shape."""
        handed = self.handed.get(self.members(prefix)[0])
        if handed is None or not isinstance(layer, LinearBase):
            return None
        inputs = getattr(layer, "input_size_per_partition", layer.input_size)
        outputs = getattr(layer, "output_partition_sizes", handed.outputs)
        if len(handed.outputs) == 1:  # parts that the checkpoint itself holds fused were proved as one
            outputs = (sum(outputs),)
        return handed if (inputs, tuple(outputs)) == (handed.inputs, handed.outputs) else None

    def _layout(self, source: str, prefix: str) -> tuple[Format, Stored]:
        assert self.layouts is not None  # noqa: S101  from_config gives them
        return self.layouts.of(source, self.names[self.members(prefix)[0]])

    @staticmethod
    def _own_method(handed: Handed, prefix: str) -> QuantizeMethodBase:
        assert handed.format is not None  # noqa: S101  read_handed reads both for these
        assert handed.stored is not None  # noqa: S101
        if handed.kernel == "placeholder":
            stand_in = Placeholder(prefix, handed.format.name, handed.reasons)
            return PlaceholderLinearMethod(stand_in, handed.format, handed.stored)
        return PortableLinearMethod(handed.kernel, handed.format, handed.stored)

    def members(self, prefix: str) -> tuple[str, ...]:
        """The checkpoint modules that an engine layer unites; itself, where it unites none."""
        if found := self.experts.members(prefix):
            return found
        parent, _, leaf = prefix.rpartition(".")
        parts = self.packed_modules_mapping.get(leaf, [leaf])
        return tuple(f"{parent}.{part}" if parent else part for part in parts)

    def planned_members(self, prefix: str) -> tuple[str, ...]:
        """The checkpoint names of those members that the plan knows."""
        return tuple(self.names[member] for member in self.members(prefix) if member in self.names)

    def source_of(self, prefix: str) -> str | None:
        """The source whose config serves an engine layer; None when the plan does not know it. Raises SplitUnit."""
        planned = {module: self.modules[module] for module in self.members(prefix) if module in self.modules}
        if len(set(planned.values())) > 1 and len({self.shared.get(module, module) for module in planned}) > 1:
            raise SplitUnit(prefix, planned)
        return next(iter(planned.values()), None)

    def sources_of(self, prefix: str) -> tuple[str, ...]:
        """All sources that an engine layer's parts come from, the one whose config serves it first."""
        return tuple(dict.fromkeys(self.modules[part] for part in self.members(prefix) if part in self.modules))
