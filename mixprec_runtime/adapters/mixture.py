"""The mixture as an engine's quantization config sees it: which source serves which of the engine's layers, and how.

The same for every engine; an engine's own config class inherits it beside the engine's base class.
"""

from __future__ import annotations

__all__ = ["Mixture", "SplitUnit", "UnplannedLayer", "as_planned"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.adapters.expertnames import ExpertNames
from mixprec_runtime.adapters.fallback import EngineParts
from mixprec_runtime.adapters.handed import Handed, Layouts, read_handed
from mixprec_runtime.adapters.portable_method import PortableMethod, Stored
from mixprec_runtime.adapters.proof import KernelVerdict
from mixprec_runtime.kernels.placeholder import Placeholder

PLAIN = FormatKind.PLAIN.value
WEIGHT = ".weight"
BY_NAME = ("modules", "formats", "names", "handed", "shared", "scaled")
"""Tables of a Mixture whose keys are names of modules."""


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


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a run folder's quantization config says; ``asked`` are the sources whose own config serves a layer."""

    modules: dict[str, str]
    formats: dict[str, str]
    handed: dict[str, Handed]
    layouts: Layouts
    shared: dict[str, str]
    scaled: tuple[str, ...]
    asked: tuple[str, ...]
    folders: Mapping[str, str]

    def quantized(self, source: str) -> Iterable[str]:
        """The quantized modules of a source."""
        return (name for name, kind in self.formats.items() if kind != PLAIN and self.modules[name] == source)


def as_planned(config: Mapping[str, Any]) -> Planned:
    """Read a run folder's quantization config.

    A source of which every quantized layer is served by mixprec itself is not among those asked: the engine may refuse
    its config.
    """
    modules, formats = dict(config["modules"]), dict(config["formats"])
    scaled = tuple(config.get("cache_scales", ()))
    folders = {name: source["path"] for name, source in config["sources"].items()}
    layouts = Layouts(folders)
    handed = read_handed(config, layouts)
    wanted = {
        modules[name]
        for name, kind in formats.items()
        if name in scaled or (kind != PLAIN and (name not in handed or handed[name].native))
    }
    asked = tuple(
        name
        for name, source in config["sources"].items()
        if source["quantization_config"] is not None and name in wanted
    )
    return Planned(
        modules=modules, formats=formats, handed=handed, layouts=layouts, shared=dict(config.get("shared", {})),
        scaled=scaled, asked=asked, folders=folders,
    )  # fmt: skip


class Mixture:
    """The plan by the engine's names of layers.

    ``modules`` maps checkpoint names of modules to source names. ``inner`` maps each quantized source to the
    config that the engine itself builds for that checkpoint folder; a source without quantization has none. ``handed``
    is what was proved of a module's layer before the start. ``proofs`` remembers which of the engine's kernels ran
    here, per method and shape, for layers of which nothing was. ``shared`` names the fused unit of each module that the
    plan lets come from another source than the unit's other parts; they are of one scheme, and the config of the first
    part's source serves the unit. ``scaled`` are the attentions for whose key-value cache the plan has scales.
    """

    parts: ClassVar[EngineParts]
    linear: ClassVar[type]  # the engine's base class of linear layers
    packed_modules_mapping: dict[str, list[str]]

    def plan(
        self,
        modules: dict[str, str],
        formats: dict[str, str],
        inner: dict[str, Any],
        *,
        handed: dict[str, Handed] | None = None,
        layouts: Layouts | None = None,
        shared: dict[str, str] | None = None,
        scaled: Iterable[str] = (),
    ) -> None:
        """Take over what the plan says; called once, by the constructor."""
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

    def rename(self, mapper: Any) -> None:  # noqa: ANN401  the engine's
        """Take the names that the model gives to checkpoint names, in every table."""
        for table in BY_NAME:
            setattr(self, table, _renamed(getattr(self, table), mapper))
        self.experts = ExpertNames(self.modules)

    def __repr__(self) -> str:
        methods = {name: config.get_name() for name, config in self.inner.items()}
        return f"{type(self).__name__}({methods})"

    def supported_types(self) -> list[torch.dtype]:
        """Activation types that every source's config takes."""
        supported = [torch.bfloat16, torch.half, torch.float32]
        for config in self.inner.values():
            supported = [dtype for dtype in supported if dtype in config.get_supported_act_dtypes()]
        return supported

    def handed_to(self, layer: torch.nn.Module, prefix: str) -> Handed | None:
        """What was proved of a layer before the start; None where nothing was, or of another shape."""
        handed = self.handed.get(self.members(prefix)[0])
        if handed is None or not isinstance(layer, self.linear):
            return None
        shape: Any = layer
        inputs = getattr(layer, "input_size_per_partition", shape.input_size)
        outputs = getattr(layer, "output_partition_sizes", handed.outputs)
        if len(handed.outputs) == 1:  # parts that the checkpoint itself holds fused were proved as one
            outputs = (sum(outputs),)
        return handed if (inputs, tuple(outputs)) == (handed.inputs, handed.outputs) else None

    def layout(self, source: str, prefix: str) -> tuple[Format, Stored]:
        """How the first part of an engine's layer lies in its checkpoint."""
        assert self.layouts is not None  # noqa: S101  from_config gives them
        return self.layouts.of(source, self.names[self.members(prefix)[0]])

    def kind_of(self, prefix: str) -> FormatKind:
        """The format of an engine's layer that is planned."""
        return FormatKind(next(self.formats[member] for member in self.members(prefix) if member in self.formats))

    def own_method(self, handed: Handed, prefix: str) -> PortableMethod:
        """The linear method of ours that was proved, or the placeholder where nothing was."""
        assert handed.format is not None  # noqa: S101  read_handed reads both for these
        assert handed.stored is not None  # noqa: S101
        if handed.kernel == "placeholder":
            stand_in = Placeholder(prefix, handed.format.name, handed.reasons)
            return self.parts.placeholder(stand_in, handed.format, handed.stored)
        return self.parts.portable(handed.kernel, handed.format, handed.stored)

    def asked_as(self, config: Any, prefix: str) -> str:  # noqa: ANN401  a source's
        """The name under which a source's config is asked for a layer.

        GPTQ's overrides by pattern (``dynamic``) name modules of the checkpoint; engines hold them against their own
        name of a fused layer, which they miss. All parts of it are of one format, so the first one stands for it.
        """
        return self.members(prefix)[0] if getattr(config, "dynamic", None) else prefix

    def cache_method(self, layer: torch.nn.Module, prefix: str) -> Any:  # noqa: ANN401  the engine's
        """What an attention loads the scales of its cache with; None where the plan has none for it."""
        attention = next((name for name in (prefix, prefix.rpartition(".")[0]) if name in self.scaled), None)
        config = self.inner.get(self.modules[attention]) if attention is not None else None
        return config.get_quant_method(layer, prefix) if config is not None else None

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


def _renamed(table: Mapping[str, Any], mapper: Any) -> dict[str, Any]:  # noqa: ANN401
    """A table by the engine's names of modules; engines' mappers rename tensors, by what surrounds their names."""
    found = mapper.apply_dict({f"{module}{WEIGHT}": value for module, value in table.items()})
    return {name.removesuffix(WEIGHT): value for name, value in found.items()}
