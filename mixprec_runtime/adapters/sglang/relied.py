"""What this adapter relies on in SGLang and no import or call of it shows: hooks, attributes of objects, and words.

Imports, names taken from modules, calls and overridden methods are read from the adapter's own source
(``tests/releases``), which holds all of it against each release. A new hook or attribute gets its line here.
"""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "HOOKS", "REACHED_BY", "WORDS"]

from collections.abc import Mapping

from mixprec_runtime.adapters.relied import Word

HOOKS: Mapping[str, frozenset[str]] = {
    "QuantizationConfig": frozenset(
        {"from_config", "get_config_filenames", "get_min_capability", "get_name", "get_quant_method",
         "get_scaled_act_names", "get_supported_act_dtypes"}
    ),
    "DefaultModelLoader": frozenset({"download_model", "load_model", "load_weights_and_postprocess"}),
    "LinearMethodBase": frozenset({"apply", "create_weights", "process_weights_after_loading"}),
}  # fmt: skip
"""Methods by which the engine calls the adapter, by the class of the engine that has them."""

REACHED_BY: Mapping[str, str] = {"plugin.py": "sglang.srt.plugins"}
"""Modules of the adapter that a part of the engine calls, and nothing where a release has no such part."""

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "sglang.srt.configs.model_config.ModelConfig": frozenset({"dtype", "model_path", "quantization"}),
    "sglang.srt.configs.load_config.LoadConfig": frozenset({"load_format"}),
    "sglang.srt.distributed.parallel_state.GroupCoordinator": frozenset({"rank_in_group", "world_size"}),
    "sglang.srt.layers.linear.LinearBase": frozenset({"input_size", "output_size", "quant_method"}),
    "sglang.srt.layers.linear.RowParallelLinear": frozenset({"input_size_per_partition", "weight_loader_v2"}),
    "sglang.srt.layers.linear.ColumnParallelLinear": frozenset({"output_partition_sizes", "weight_loader_v2"}),
    "sglang.srt.model_loader.loader.DefaultModelLoader": frozenset({"_get_all_weights"}),
}  # fmt: skip
"""Attributes and methods of the engine's objects, by class."""

WORDS: tuple[Word, ...] = (
    Word(text="self._get_all_weights(", places=("sglang.srt.model_loader.loader",),
         why="the default loader takes its tensors from there, so that ours can give others"),
    Word(text="self.load_weights_and_postprocess(", places=("sglang.srt.model_loader.loader",),
         why="what loads a model calls it once the model is made"),
    Word(text="model.load_weights(weights)", places=("sglang.srt.model_loader.loader",),
         why="the model itself takes the tensors, and there ours watches"),
    Word(text=".load_model(", places=("sglang.srt.model_loader", "sglang.srt.model_executor.model_runner"),
         why="a worker asks the loader of its load format"),
    Word(text="load_config.load_format, type", places=("sglang.srt.model_loader.loader",),
         why="a class may be handed in as the load format"),
    Word(text=".get_quant_method(", places=("sglang.srt.layers.linear",),
         why="a linear layer asks the config for its method"),
    Word(text=".get_quant_method(", places=("sglang.srt.layers.vocab_parallel_embedding",),
         why="so does the output head"),
    Word(text="packed_modules_mapping", places=("sglang.srt.model_loader",),
         why="the config is told which layers the model's class says that it fuses"),
    Word(text="in WEIGHT_LOADER_V2_SUPPORTED", places=("sglang.srt.layers.linear",),
         why="loaders are chosen by the name of a method's class"),
)  # fmt: skip
