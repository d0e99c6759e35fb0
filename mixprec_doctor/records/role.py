"""Role: something that mixprec needs from an engine, independent of its name in a release."""

from __future__ import annotations

__all__ = ["CONFIG_ROLES", "LINEAR_METHOD_ROLES", "Role"]

from enum import Enum


class Role(str, Enum):
    """The roles of the JSON contract, in its order."""

    QUANTIZATION_CONFIG = "quantization_config"
    LINEAR_METHOD_BASE = "linear_method_base"
    LINEAR_BASE = "linear_base"
    UNQUANTIZED_LINEAR_METHOD = "unquantized.linear_method"
    COLUMN_PARALLEL_LINEAR = "column_parallel_linear"
    ROW_PARALLEL_LINEAR = "row_parallel_linear"
    QKV_PARALLEL_LINEAR = "qkv_parallel_linear"
    MERGED_COLUMN_PARALLEL_LINEAR = "merged_column_parallel_linear"
    REPLICATED_LINEAR = "replicated_linear"
    FP8_CONFIG = "fp8.config"
    FP8_LINEAR_METHOD = "fp8.linear_method"
    GPTQ_CONFIG = "gptq.config"
    GPTQ_LINEAR_METHOD = "gptq.linear_method"
    GPTQ_MARLIN_CONFIG = "gptq_marlin.config"
    GPTQ_MARLIN_LINEAR_METHOD = "gptq_marlin.linear_method"
    AWQ_CONFIG = "awq.config"
    AWQ_LINEAR_METHOD = "awq.linear_method"
    AWQ_MARLIN_CONFIG = "awq_marlin.config"
    AWQ_MARLIN_LINEAR_METHOD = "awq_marlin.linear_method"
    BLOCKWISE_INT8_CONFIG = "blockwise_int8.config"
    BLOCKWISE_INT8_LINEAR_METHOD = "blockwise_int8.linear_method"
    W8A8_INT8_CONFIG = "w8a8_int8.config"
    W8A8_INT8_LINEAR_METHOD = "w8a8_int8.linear_method"
    W8A8_FP8_CONFIG = "w8a8_fp8.config"
    COMPRESSED_TENSORS_CONFIG = "compressed_tensors.config"
    DEFAULT_LOADER = "default_loader"
    GET_MODEL_LOADER = "get_model_loader"
    REGISTER_MODEL_LOADER = "register_model_loader"
    LOAD_CONFIG = "load_config"
    LOAD_FORMAT = "load_format"
    MODEL_CONFIG = "model_config"
    QUANTIZATION_REGISTRY = "quantization_registry"
    GET_QUANTIZATION_CONFIG = "get_quantization_config"
    REGISTER_QUANTIZATION_CONFIG = "register_quantization_config"
    SERVER_ARGS = "server_args"
    LAUNCH_SERVER = "launch_server"
    PLUGIN_HOOK = "plugin_hook"

    @property
    def method(self) -> str | None:
        """The quantization method that a ``<method>.config`` or ``<method>.linear_method`` role is about."""
        method, dot, _ = self.value.partition(".")
        return method if dot else None


CONFIG_ROLES: frozenset[Role] = frozenset(role for role in Role if role.value.endswith(".config"))
LINEAR_METHOD_ROLES: frozenset[Role] = frozenset(role for role in Role if role.value.endswith(".linear_method"))
