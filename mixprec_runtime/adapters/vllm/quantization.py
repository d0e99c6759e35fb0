"""The quantization config that answers, layer by layer, with the engine's own method for that layer's source."""

from __future__ import annotations

__all__ = ["MixprecConfig", "SplitUnit", "UnplannedLayer"]

from collections.abc import Mapping
from typing import Any

import torch
from vllm.config import ModelConfig, VllmConfig
from vllm.config.load import LoadConfig
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.vllm.fallback import with_fallback
from mixprec_runtime.adapters.vllm.proof import KernelVerdict
from mixprec_runtime.runfolder import METHOD


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
    ``maybe_update_config``); a source without quantization has none. ``proofs`` remembers which of the engine's
    kernels ran here, per method and shape.
    """

    def __init__(self, modules: dict[str, str], formats: dict[str, str], inner: dict[str, QuantizationConfig]) -> None:
        super().__init__()
        self.modules = modules
        self.formats = formats
        self.inner = inner
        self.proofs: dict[tuple[object, ...], KernelVerdict] = {}

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
        """Build the inner configs from the sources that the run folder's config names."""
        modules = dict(config["modules"])
        used = set(modules.values())
        inner = {
            name: _engine_config(source["path"])
            for name, source in config["sources"].items()
            if source["quantization_config"] is not None and name in used
        }
        return cls(modules, dict(config["formats"]), inner)

    def apply_vllm_mapper(self, hf_to_vllm_mapper: Any) -> None:  # noqa: ANN401
        """Rename the planned modules as the model renames checkpoint names."""
        self.modules = hf_to_vllm_mapper.apply_dict(self.modules)
        self.formats = hf_to_vllm_mapper.apply_dict(self.formats)
        for config in self.inner.values():
            config.apply_vllm_mapper(hf_to_vllm_mapper)

    def get_quant_method(self, layer: torch.nn.Module, prefix: str) -> QuantizeMethodBase | None:
        """The engine's own method for the layer's source; None where the engine's default serves."""
        source = self.source_of(prefix)
        if source is None:
            if isinstance(layer, LinearBase):
                raise UnplannedLayer(prefix, self.members(prefix))
            return None
        config = self.inner.get(source)
        if config is None:
            return UnquantizedLinearMethod() if isinstance(layer, LinearBase) else None
        if not isinstance(layer, LinearBase | ParallelLMHead):
            return None
        config.packed_modules_mapping = self.packed_modules_mapping
        method = config.get_quant_method(layer, prefix)
        kind = FormatKind(self.formats[self.members(prefix)[0]])
        if method is None or kind is FormatKind.PLAIN or not isinstance(layer, LinearBase):
            return method
        return with_fallback(method, kind, self.proofs)

    def members(self, prefix: str) -> tuple[str, ...]:
        """The checkpoint modules that an engine layer unites; itself, where it unites none."""
        parent, _, leaf = prefix.rpartition(".")
        parts = self.packed_modules_mapping.get(leaf, [leaf])
        return tuple(f"{parent}.{part}" if parent else part for part in parts)

    def source_of(self, prefix: str) -> str | None:
        """The one source of an engine layer; None when the plan does not know it. Raises SplitUnit."""
        planned = {module: self.modules[module] for module in self.members(prefix) if module in self.modules}
        if len(set(planned.values())) > 1:
            raise SplitUnit(prefix, planned)
        return next(iter(planned.values()), None)


def _engine_config(folder: str) -> QuantizationConfig:
    """The config that the engine builds when it is pointed at that checkpoint itself.

    Going through the engine's own ModelConfig keeps its choices: plain ``gptq`` becomes the class that this
    release serves it with, and ``maybe_update_config`` sees the source's own folder.
    """
    model = ModelConfig(model=folder, tokenizer=folder, skip_tokenizer_init=True)
    return VllmConfig.get_quantization_config(model, LoadConfig())
