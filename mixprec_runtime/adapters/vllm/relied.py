"""What this adapter relies on in vLLM and no import or call of it shows: hooks, attributes of objects, and words.

Imports, names taken from modules, calls and overridden methods are read from the adapter's own source
(``tests/releases``), which holds all of it against each release. A new hook or attribute gets its line here.
"""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "HOOKS", "WORDS"]

from collections.abc import Mapping

from mixprec_runtime.adapters.relied import Word

HOOKS: Mapping[str, frozenset[str]] = {
    "QuantizationConfig": frozenset(
        {"apply_vllm_mapper", "from_config", "get_config_filenames", "get_min_capability", "get_name",
         "get_quant_method", "get_supported_act_dtypes"}
    ),
    "DefaultModelLoader": frozenset({"download_model", "get_all_weights", "load_model", "load_weights"}),
    "LinearMethodBase": frozenset({"apply", "create_weights", "process_weights_after_loading"}),
}  # fmt: skip
"""Methods by which the engine calls the adapter, by the class of the engine that has them."""

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "vllm.config.ModelConfig": frozenset({"dtype", "model", "quantization"}),
    "vllm.config.VllmConfig": frozenset({"get_quantization_config", "load_config", "model_config", "quant_config"}),
    "vllm.config.LoadConfig": frozenset({"load_format"}),
    "vllm.distributed.parallel_state.GroupCoordinator": frozenset({"rank_in_group", "world_size"}),
    "vllm.platforms.interface.Platform": frozenset(
        {"device_type", "get_device_capability", "is_cpu", "is_rocm"}
    ),
    "vllm.model_executor.layers.linear.LinearBase": frozenset({"input_size", "quant_method"}),
    "vllm.model_executor.layers.linear.RowParallelLinear": frozenset({"input_size_per_partition", "weight_loader_v2"}),
    "vllm.model_executor.layers.linear.ColumnParallelLinear": frozenset({"output_partition_sizes", "weight_loader_v2"}),
    "vllm.model_executor.layers.quantization.base_config.QuantizationConfig": frozenset({"packed_modules_mapping"}),
    "vllm.model_executor.model_loader.base_loader.BaseModelLoader": frozenset({"load_config"}),
}  # fmt: skip
"""Attributes and methods of the engine's objects, by class."""

WORDS: tuple[Word, ...] = (
    Word(text="self.get_all_weights(", places=("vllm.model_executor.model_loader.default_loader",),
         why="the default loader takes its tensors from there, so that ours can give others"),
    Word(text="self.load_weights(", places=("vllm.model_executor.model_loader.base_loader",),
         why="what loads a model calls it once the model is made"),
    Word(text=".load_model(", places=("vllm.v1.worker.gpu_model_runner", "vllm.model_executor.model_loader"),
         why="a worker asks the loader of its load format"),
    Word(text=".get_quant_method(",
         places=("vllm.model_executor.layers.linear", "vllm.model_executor.layers.quantization.base_config"),
         why="a linear layer asks the config for its method"),
    Word(text=".get_quant_method(",
         places=("vllm.model_executor.layers.vocab_parallel_embedding",
                 "vllm.model_executor.layers.quantization.base_config"),
         why="so does the output head"),
    Word(text=".packed_modules_mapping = ", places=("vllm.model_executor.model_loader.utils",),
         why="the config is told which layers the model fuses"),
    Word(text=".apply_vllm_mapper(", places=("vllm.model_executor.model_loader.utils",),
         why="the config is told how the model renames checkpoint names"),
    Word(text="VLLM_DISABLED_KERNELS",
         places=("vllm.model_executor.kernels.linear", "vllm.model_executor.layers.quantization.kernels"),
         why="kernels that failed are passed over"),
    Word(text="Failed to find a kernel",
         places=("vllm.model_executor.kernels.linear", "vllm.model_executor.layers.quantization.kernels"),
         why="how a trial knows that the engine has no kernel left"),
    Word(text="vllm.general_plugins", places=("vllm.plugins",), why="the group of the entry point"),
    Word(text="quant_method.__class__.__name__ in WEIGHT_LOADER_V2_SUPPORTED",
         places=("vllm.model_executor.layers.linear",), why="loaders are chosen by the name of a method's class"),
)  # fmt: skip
