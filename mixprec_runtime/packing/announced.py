"""Quantization configs: what a quantizer's ``config.json`` says of a checkpoint that is all of one format.

Keys and values are those that the tools write: AutoGPTQ and AutoAWQ for theirs, DeepSeek-V3 for blocks of FP8,
AutoFP8 for FP8 per tensor, SGLang's quantizer for blocks of INT8, llm-compressor for everything else.
"""

from __future__ import annotations

__all__ = ["quantization_config"]

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.packing.awq import awq_quantization_config
from mixprec_runtime.packing.gptq import gptq_quantization_config

_CT_FORMATS = {
    FormatKind.FP8: "float-quantized",
    FormatKind.INT8: "int-quantized",
    FormatKind.PACKED: "pack-quantized",
    FormatKind.NVFP4: "nvfp4-pack-quantized",
    FormatKind.MXFP4: "mxfp4-pack-quantized",
}


def quantization_config(format: Format) -> dict[str, object] | None:
    """``quantization_config`` of a checkpoint whose linear layers are all of ``format``; None for a plain one."""
    if format.kind is FormatKind.PLAIN:
        return None
    if format.kind is FormatKind.GPTQ:
        return {
            **gptq_quantization_config(group_size=format.group or -1, damping=0.01, true_sequential=True),
            "bits": format.bits,
            "desc_act": format.act_order,
            "static_groups": not format.act_order,
            "sym": format.symmetric is not False,
            "checkpoint_format": format.variant or "gptq",
        }
    if format.kind is FormatKind.AWQ:
        return {**awq_quantization_config(group_size=format.group or -1), "bits": format.bits}
    if format.scale == "block":
        method = "fp8" if format.kind is FormatKind.FP8 else "blockwise_int8"
        return {
            "quant_method": method,
            "activation_scheme": "dynamic",
            **({"fmt": "e4m3"} if format.kind is FormatKind.FP8 else {}),
            "weight_block_size": list(format.block or (128, 128)),
        }
    if format.kind is FormatKind.FP8 and format.scale == "tensor" and format.activation is not Activation.NONE:
        return {"quant_method": "fp8", "activation_scheme": format.activation.value, "ignored_layers": ["lm_head"]}
    return _compressed_tensors(format)


def _compressed_tensors(format: Format) -> dict[str, object]:
    name = _CT_FORMATS[format.kind]
    group = {
        "targets": ["Linear"],
        "weights": _weights(format),
        "input_activations": _inputs(format),
        "output_activations": None,
        "format": name,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": name,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def _weights(format: Format) -> dict[str, object]:
    if format.kind is FormatKind.NVFP4:
        return _arguments(4, "float", strategy="tensor_group", group_size=16)
    if format.kind is FormatKind.MXFP4:
        return {**_arguments(4, "float", strategy="group", group_size=32), "scale_dtype": "torch.uint8"}
    if format.kind is FormatKind.PACKED:
        strategy = "group" if format.group else "channel"
        arguments = _arguments(format.bits, "int", strategy=strategy, group_size=format.group)
        return {**arguments, "symmetric": format.symmetric is not False, "actorder": _order(format)}
    kind = "float" if format.kind is FormatKind.FP8 else "int"
    return _arguments(8, kind, strategy=format.scale or "channel", group_size=None)


def _order(format: Format) -> str | None:
    return "group" if format.act_order else None


def _inputs(format: Format) -> dict[str, object] | None:
    if format.activation is Activation.NONE:
        return None
    kind = "int" if format.kind is FormatKind.INT8 else "float"
    if format.activation is Activation.STATIC:
        return _arguments(8, kind, strategy="tensor", group_size=None)
    return {**_arguments(8, kind, strategy="token", group_size=None), "dynamic": True}


def _arguments(bits: int, kind: str, *, strategy: str, group_size: int | None) -> dict[str, object]:
    return {
        "num_bits": bits,
        "type": kind,
        "symmetric": True,
        "strategy": strategy,
        "group_size": group_size,
        "dynamic": False,
        "actorder": None,
        "block_structure": None,
    }
