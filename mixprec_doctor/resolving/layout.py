"""Layouts: what is known of an engine beforehand, as data: where its parts use to lie, under which names."""

from __future__ import annotations

__all__ = ["LAYOUTS", "Layout", "Usual", "find_layout"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.role import Role


class UnknownEngine(MixprecError):
    """There is no layout for an engine of that name."""

    def __init__(self, engine: str, known: tuple[str, ...]) -> None:
        super().__init__(engine, known)
        self.engine = engine
        self.known = known

    def __str__(self) -> str:
        return f"no engine {self.engine!r}; known: {', '.join(self.known)}"


@dataclass(frozen=True, kw_only=True)
class Usual:
    """Names that a role has or had, and modules in which it stands or stood, likeliest first."""

    names: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An engine's usual places. They only say where to look first: what is found is read from the source."""

    engine: str
    core: tuple[str, ...]  # the serving engine proper; homonyms elsewhere in the package are not it
    scope: tuple[str, ...]  # modules, and packages with all below them, that hold what mixprec is about
    registries: tuple[str, ...]  # modules that map a method's name to its config class
    usual: Mapping[Role, Usual]
    absent: Mapping[Role, str] = field(default_factory=dict)  # roles the engine has no counterpart of


_VLLM_LAYERS = "vllm.model_executor.layers"
_VLLM_QUANT = f"{_VLLM_LAYERS}.quantization"
_VLLM_LOADER = "vllm.model_executor.model_loader"
_SGLANG_LAYERS = "sglang.srt.layers"
_SGLANG_QUANT = f"{_SGLANG_LAYERS}.quantization"
_SGLANG_LOADER = "sglang.srt.model_loader"


def _shared(layers: str, quant: str) -> dict[Role, Usual]:
    """What both engines name alike, having one ancestor."""
    linear = (f"{layers}.linear",)
    base = (f"{quant}.base_config",)

    def config(stem: str, *names: str) -> Usual:
        return Usual(names=names, modules=tuple(_places(quant, stem)))

    return {
        Role.QUANTIZATION_CONFIG: Usual(names=("QuantizationConfig",), modules=(*base, quant)),
        Role.LINEAR_METHOD_BASE: Usual(names=("LinearMethodBase",), modules=(*base, *linear)),
        Role.LINEAR_BASE: Usual(names=("LinearBase",), modules=linear),
        Role.UNQUANTIZED_LINEAR_METHOD: Usual(
            names=("UnquantizedLinearMethod",), modules=(f"{quant}.unquant", *linear)
        ),
        Role.COLUMN_PARALLEL_LINEAR: Usual(names=("ColumnParallelLinear",), modules=linear),
        Role.ROW_PARALLEL_LINEAR: Usual(names=("RowParallelLinear",), modules=linear),
        Role.QKV_PARALLEL_LINEAR: Usual(names=("QKVParallelLinear",), modules=linear),
        Role.MERGED_COLUMN_PARALLEL_LINEAR: Usual(names=("MergedColumnParallelLinear",), modules=linear),
        Role.REPLICATED_LINEAR: Usual(names=("ReplicatedLinear",), modules=linear),
        Role.FP8_CONFIG: config("fp8", "Fp8Config"),
        Role.FP8_LINEAR_METHOD: config("fp8", "Fp8LinearMethod"),
        Role.GPTQ_CONFIG: config("gptq", "GPTQConfig"),
        Role.GPTQ_LINEAR_METHOD: config("gptq", "GPTQLinearMethod"),
        Role.GPTQ_MARLIN_CONFIG: config("gptq_marlin", "GPTQMarlinConfig"),
        Role.GPTQ_MARLIN_LINEAR_METHOD: config("gptq_marlin", "GPTQMarlinLinearMethod"),
        Role.AWQ_CONFIG: config("awq", "AWQConfig"),
        Role.AWQ_LINEAR_METHOD: config("awq", "AWQLinearMethod"),
        Role.AWQ_MARLIN_CONFIG: config("awq_marlin", "AWQMarlinConfig"),
        Role.AWQ_MARLIN_LINEAR_METHOD: config("awq_marlin", "AWQMarlinLinearMethod"),
        Role.BLOCKWISE_INT8_CONFIG: config("blockwise_int8", "BlockInt8Config"),
        Role.BLOCKWISE_INT8_LINEAR_METHOD: config("blockwise_int8", "BlockInt8LinearMethod"),
        Role.W8A8_INT8_CONFIG: config("w8a8_int8", "W8A8Int8Config"),
        Role.W8A8_INT8_LINEAR_METHOD: config("w8a8_int8", "W8A8Int8LinearMethod"),
        Role.W8A8_FP8_CONFIG: config("w8a8_fp8", "W8A8Fp8Config"),
        Role.COMPRESSED_TENSORS_CONFIG: Usual(
            names=("CompressedTensorsConfig",),
            modules=(f"{quant}.compressed_tensors.compressed_tensors", f"{quant}.compressed_tensors"),
        ),
        Role.QUANTIZATION_REGISTRY: Usual(names=("QUANTIZATION_METHODS",), modules=(quant,)),
        Role.GET_QUANTIZATION_CONFIG: Usual(names=("get_quantization_config",), modules=(quant,)),
        Role.REGISTER_QUANTIZATION_CONFIG: Usual(names=("register_quantization_config",), modules=(quant,)),
    }


def _places(quant: str, stem: str) -> list[str]:
    """A method's own module, the package it may have grown into, and its plain sibling's."""
    family = stem.removesuffix("_marlin")
    places = [f"{quant}.{stem}", f"{quant}.{stem}.{stem}", f"{quant}.{family}", f"{quant}.{family}.{family}"]
    return list(dict.fromkeys(places))


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        engine="vllm",
        core=("vllm",),
        scope=(
            _VLLM_QUANT,
            f"{_VLLM_LAYERS}.linear",
            _VLLM_LOADER,
            "vllm.config",
            "vllm.engine.arg_utils",
            "vllm.plugins",
            "vllm.entrypoints.openai.api_server",
            "vllm.entrypoints.launchers",
        ),
        registries=(_VLLM_QUANT,),
        usual={
            **_shared(_VLLM_LAYERS, _VLLM_QUANT),
            Role.DEFAULT_LOADER: Usual(
                names=("DefaultModelLoader",),
                modules=(f"{_VLLM_LOADER}.default_loader", f"{_VLLM_LOADER}.loader", _VLLM_LOADER),
            ),
            Role.GET_MODEL_LOADER: Usual(names=("get_model_loader",), modules=(_VLLM_LOADER, f"{_VLLM_LOADER}.loader")),
            Role.REGISTER_MODEL_LOADER: Usual(names=("register_model_loader",), modules=(_VLLM_LOADER,)),
            Role.LOAD_CONFIG: Usual(names=("LoadConfig",), modules=("vllm.config.load", "vllm.config")),
            Role.LOAD_FORMAT: Usual(
                names=("LoadFormats", "LoadFormat"),
                modules=(_VLLM_LOADER, "vllm.config.load", "vllm.config"),
            ),
            Role.MODEL_CONFIG: Usual(names=("ModelConfig",), modules=("vllm.config.model", "vllm.config")),
            Role.SERVER_ARGS: Usual(names=("AsyncEngineArgs", "EngineArgs"), modules=("vllm.engine.arg_utils",)),
            Role.LAUNCH_SERVER: Usual(
                names=("run_server",),
                modules=(
                    "vllm.entrypoints.openai.api_server",
                    "vllm.entrypoints.launchers.api_server.entry",
                ),
            ),
            Role.PLUGIN_HOOK: Usual(names=("load_general_plugins", "load_plugins_by_group"), modules=("vllm.plugins",)),
        },
        absent={
            Role.BLOCKWISE_INT8_CONFIG: "vLLM has no config of its own for block-wise INT8",
            Role.BLOCKWISE_INT8_LINEAR_METHOD: "vLLM has no linear method of its own for block-wise INT8",
            Role.W8A8_INT8_CONFIG: "vLLM serves INT8 W8A8 through its compressed-tensors config",
            Role.W8A8_INT8_LINEAR_METHOD: "vLLM serves INT8 W8A8 through its compressed-tensors config",
            Role.W8A8_FP8_CONFIG: "vLLM serves FP8 W8A8 through its compressed-tensors and fp8 configs",
        },
    ),
    Layout(
        engine="sglang",
        core=("sglang.srt",),
        scope=(
            _SGLANG_QUANT,
            f"{_SGLANG_LAYERS}.linear",
            _SGLANG_LOADER,
            "sglang.srt.configs",
            "sglang.srt.server_args",
            "sglang.srt.entrypoints.http_server",
            "sglang.srt.entrypoints.engine",
            "sglang.srt.plugins",
            "sglang.launch_server",
        ),
        registries=(_SGLANG_QUANT,),
        usual={
            **_shared(_SGLANG_LAYERS, _SGLANG_QUANT),
            Role.DEFAULT_LOADER: Usual(
                names=("DefaultModelLoader",), modules=(f"{_SGLANG_LOADER}.loader", _SGLANG_LOADER)
            ),
            Role.GET_MODEL_LOADER: Usual(
                names=("get_model_loader",), modules=(f"{_SGLANG_LOADER}.loader", _SGLANG_LOADER)
            ),
            Role.REGISTER_MODEL_LOADER: Usual(
                names=("register_model_loader",), modules=(f"{_SGLANG_LOADER}.loader", _SGLANG_LOADER)
            ),
            Role.LOAD_CONFIG: Usual(names=("LoadConfig",), modules=("sglang.srt.configs.load_config",)),
            Role.LOAD_FORMAT: Usual(names=("LoadFormat",), modules=("sglang.srt.configs.load_config",)),
            Role.MODEL_CONFIG: Usual(names=("ModelConfig",), modules=("sglang.srt.configs.model_config",)),
            Role.SERVER_ARGS: Usual(names=("ServerArgs",), modules=("sglang.srt.server_args",)),
            Role.LAUNCH_SERVER: Usual(
                names=("launch_server",),
                modules=("sglang.srt.entrypoints.http_server", "sglang.srt.server"),
            ),
            Role.PLUGIN_HOOK: Usual(names=("load_plugins", "load_plugins_by_group"), modules=("sglang.srt.plugins",)),
        },
        absent={
            Role.REGISTER_MODEL_LOADER: "SGLang has no registry of loaders",
            Role.REGISTER_QUANTIZATION_CONFIG: "SGLang has no such function: its registry is a dictionary",
            Role.PLUGIN_HOOK: "SGLang releases before its plugin framework load no plugins",
        },
    ),
)


def find_layout(engine: str) -> Layout:
    """The layout of an engine; an unknown name is refused with those known."""
    for layout in LAYOUTS:
        if layout.engine == engine:
            return layout
    raise UnknownEngine(engine, tuple(layout.engine for layout in LAYOUTS))
