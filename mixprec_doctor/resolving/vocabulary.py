"""Vocabulary: the keys that quantizers write into a checkpoint's quantization_config, by method.

An engine reads some of them and passes over the rest, and which ones changes from release to release; so these are
known from the formats. They only tell a key that this release passes over from one that is misspelt.
"""

from __future__ import annotations

__all__ = ["checkpoint_method", "known_keys"]

from collections.abc import Mapping

from mixprec_doctor.records.role import Role

_COMMON = frozenset({"ignored_layers", "kv_cache_scheme", "lm_head", "modules_to_not_convert", "quant_method"})
_GPTQ = frozenset({
    "autoround_version", "backend", "batch_size", "bits", "block_name_to_quantize", "cache_block_outputs",
    "checkpoint_format", "damp_auto_increment", "damp_percent", "dataset", "desc_act", "disable_exllama", "dynamic",
    "exllama_config", "format", "group_size", "is_marlin_format", "max_input_length", "meta", "model_file_base_name",
    "model_name_or_path", "model_seqlen", "module_name_preceding_first_block", "modules_in_block_to_quantize", "mse",
    "pack_dtype", "pad_token_id", "static_groups", "sym", "tokenizer", "true_sequential", "use_cuda_fp16",
    "use_exllama",
})  # fmt: skip
_AWQ = frozenset({
    "backend", "bits", "do_fuse", "exllama_config", "format", "fuse_max_seq_len", "group_size", "modules_to_fuse",
    "q_group_size", "version", "w_bit", "zero_point",
})  # fmt: skip
_SCALED = frozenset({"activation_scheme", "dequantize", "fmt", "scale_fmt", "weight_block_size"})
_COMPRESSED = frozenset({
    "config_groups", "format", "global_compression_ratio", "ignore", "linear_fp8_config", "packed_modules_mapping",
    "quantization_status", "sparsity_config", "transform_config", "version",
})  # fmt: skip
_KEYS: Mapping[str, frozenset[str]] = {
    "gptq": _GPTQ,
    "awq": _AWQ,
    "fp8": _SCALED | {"kv_cache_quant_algo", "packed_modules_mapping"},
    "blockwise_int8": _SCALED,
    "w8a8_int8": _SCALED | _COMPRESSED,
    "w8a8_fp8": _SCALED | _COMPRESSED,
    "compressed-tensors": _COMPRESSED,
}


def checkpoint_method(role: Role) -> str:
    """What a checkpoint of the role's format writes as ``quant_method``: kernels have no name there."""
    method = (role.method or "").removesuffix("_marlin")
    return {"compressed_tensors": "compressed-tensors"}.get(method, method)


def known_keys(role: Role) -> frozenset[str]:
    """The keys that a checkpoint of the role's format may have."""
    return _COMMON | _KEYS.get(checkpoint_method(role), frozenset())
