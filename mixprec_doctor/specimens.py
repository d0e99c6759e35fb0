"""Specimens: what a small checkpoint of each format says of itself, as its quantizer writes it.

This is how checkpoints look, not how releases look: it says what is given to a config class, whatever that class makes
of it.
"""

from __future__ import annotations

__all__ = ["SPECIMENS"]

from collections.abc import Mapping

from mixprec_doctor.records.role import Role

_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True, "damp_percent": 0.1}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
_CHANNELS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
_TOKENS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}

SPECIMENS: Mapping[Role, Mapping[str, object]] = {
    Role.FP8_CONFIG: {
        "quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128],
    },
    Role.GPTQ_CONFIG: _GPTQ,
    Role.GPTQ_MARLIN_CONFIG: _GPTQ,
    Role.AWQ_CONFIG: _AWQ,
    Role.AWQ_MARLIN_CONFIG: _AWQ,
    Role.BLOCKWISE_INT8_CONFIG: {
        "quant_method": "blockwise_int8", "activation_scheme": "dynamic", "weight_block_size": [128, 128],
    },
    Role.W8A8_INT8_CONFIG: {"quant_method": "w8a8_int8"},
    Role.W8A8_FP8_CONFIG: {"quant_method": "w8a8_fp8"},
    Role.COMPRESSED_TENSORS_CONFIG: {
        "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": _CHANNELS, "input_activations": _TOKENS},
        },
    },
}  # fmt: skip
