"""What a quantization config says of one module, read without its tensors.

Sources: transformers ``quantization_config`` classes, AutoGPTQ and GPTQModel (``QuantizeConfig.dynamic``), AutoAWQ
(``AwqConfig``), compressed-tensors (``config_groups``), ModelOpt (``hf_quant_config.json``), and how vLLM and SGLang
read them in ``get_quant_method`` of each method's config class.
"""

from __future__ import annotations

__all__ = ["ALL_INPUTS", "StatedFormat", "StatedPlain", "Unstated", "stated_format"]

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache

from mixprec_doctor.records.format import Activation, FormatKind

ALL_INPUTS = -1
"""The group of a weight with one scale for all inputs of an output."""
PROJECTIONS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
"""Modules that every tool quantizes unless its config says otherwise."""

Quantization = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class StatedFormat:
    """A config that says a module is quantized. What it leaves open is None.

    ``certain`` is False where the config names no modules at all, so that tools and engines leave some out by custom.
    """

    kind: FormatKind
    bits: int | None = None
    group: int | None = None  # ALL_INPUTS: one for all
    scale: str | None = None
    block: tuple[int, int] | None = None
    symmetric: bool | None = None
    act_order: bool | None = None
    activation: Activation | None = None
    variant: str | None = None
    certain: bool = True


@dataclass(frozen=True, kw_only=True)
class StatedPlain:
    """A config that says a module is not quantized, by this entry."""

    by: str


@dataclass(frozen=True, kw_only=True)
class Unstated:
    """A config that says nothing of the module, or in words that are not known here."""

    reason: str


Stated = StatedFormat | StatedPlain | Unstated


def stated_format(quantization: Quantization | None, module: str | None) -> Stated:
    """What a checkpoint's config says of a linear module; None as the module: of one that no entry names."""
    if quantization is None:
        return StatedPlain(by="no quantization_config")
    method = str(quantization.get("quant_method", "")).lower()
    reader = _READERS.get(method)
    if reader is None:
        return Unstated(reason=f"quant_method {method!r} is not known")
    return reader(quantization, module)


def integer(value: object) -> int | None:
    """The value where it is a whole number; booleans are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def pair(value: object) -> tuple[int, int] | None:
    """Two positive whole numbers."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        high, wide = integer(value[0]), integer(value[1])
        if high is not None and wide is not None and high > 0 and wide > 0:
            return high, wide
    return None


def strings(value: object) -> tuple[str, ...]:
    """The texts of a list; nothing where it is no list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()


@lru_cache(maxsize=4096)
def expression(pattern: str) -> re.Pattern[str] | None:
    """A regular expression of a config; None where it is none."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _excluded(module: str | None, entries: Iterable[str]) -> str | None:
    """The entry that excludes a module: its name, its last parts, or a part of the path above it."""
    if module is None:
        return None
    dotted = f".{module}."
    return next((entry for entry in entries if f".{entry.strip('.')}." in dotted), None)


def _usual(module: str | None) -> bool:
    return module is None or module.rpartition(".")[2] in PROJECTIONS


def _gptq(quantization: Quantization, module: str | None) -> Stated:
    settings = dict(quantization)
    dynamic = quantization.get("dynamic")
    for pattern, overrides in dynamic.items() if isinstance(dynamic, dict) and module is not None else ():
        if not isinstance(pattern, str):
            continue
        known = expression(pattern.removeprefix("-:").removeprefix("+:"))
        if known is None or known.match(module or "") is None:
            continue
        if pattern.startswith("-:"):
            return StatedPlain(by=f"dynamic {pattern!r}")
        if isinstance(overrides, dict):
            settings.update(overrides)
        break
    if module == "lm_head" and settings.get("lm_head") is not True:
        return StatedPlain(by="lm_head")
    if entry := _excluded(module, strings(settings.get("modules_to_not_convert"))):
        return StatedPlain(by=f"modules_to_not_convert {entry!r}")
    inside = settings.get("modules_in_block_to_quantize")
    named = {name for names in (inside if isinstance(inside, list) else ()) for name in strings(names)}
    if module is not None and named and not any(module.endswith(f".{name}") for name in named):
        return StatedPlain(by="modules_in_block_to_quantize")
    form = settings.get("checkpoint_format") or settings.get("format")
    symmetric, ordered = settings.get("sym"), settings.get("desc_act")
    return StatedFormat(
        kind=FormatKind.GPTQ,
        bits=integer(settings.get("bits")),
        group=_group(settings),
        symmetric=symmetric if isinstance(symmetric, bool) else None,
        act_order=ordered if isinstance(ordered, bool) else None,
        activation=Activation.NONE,
        variant=str(form) if form not in (None, "gptq") else None,
        certain=bool(named) or _usual(module),
    )


def _group(settings: Quantization) -> int | None:
    size = integer(settings.get("group_size"))
    return ALL_INPUTS if size is not None and size <= 0 else size


def _awq(quantization: Quantization, module: str | None) -> Stated:
    if module == "lm_head":
        return StatedPlain(by="lm_head")  # AutoAWQ quantizes the layers of the decoder only
    entries = strings(quantization.get("modules_to_not_convert"))
    if module is not None and (entry := next((entry for entry in entries if entry in module), None)):
        return StatedPlain(by=f"modules_to_not_convert {entry!r}")
    zeros, version = quantization.get("zero_point"), str(quantization.get("version", "gemm")).lower()
    return StatedFormat(
        kind=FormatKind.AWQ,
        bits=integer(quantization.get("bits", quantization.get("w_bit"))),
        group=_group({"group_size": quantization.get("group_size", quantization.get("q_group_size"))}),
        symmetric=not zeros if isinstance(zeros, bool) else None,
        activation=Activation.NONE,
        variant=None if version == "gemm" else version,
        certain=_usual(module),
    )


def _whole(kind: FormatKind, scale: str | None) -> Callable[[Quantization, str | None], Stated]:
    """Weights in 8 bits by one setting for all modules: fp8, blockwise_int8, fbgemm_fp8, w8a8_int8, w8a8_fp8."""

    def read(quantization: Quantization, module: str | None) -> Stated:
        for key in ("ignored_layers", "modules_to_not_convert", "ignore"):
            if entry := _excluded(module, strings(quantization.get(key))):
                return StatedPlain(by=f"{key} {entry!r}")
        if module == "lm_head":
            return StatedPlain(by="lm_head")  # engines give these methods to linear layers only
        block = pair(quantization.get("weight_block_size"))
        scheme = quantization.get("activation_scheme", "dynamic")
        return StatedFormat(
            kind=kind,
            bits=8,
            scale="block" if block else scale,
            block=block,
            activation=Activation.STATIC if scheme == "static" else Activation.DYNAMIC,
            certain=_usual(module),
        )

    return read


def _mxfp4(quantization: Quantization, module: str | None) -> Stated:
    if entry := _excluded(module, strings(quantization.get("modules_to_not_convert"))):
        return StatedPlain(by=f"modules_to_not_convert {entry!r}")
    return StatedFormat(kind=FormatKind.MXFP4, bits=4, group=32, activation=None, certain=False)


_MODELOPT: Mapping[str, StatedFormat] = {
    "FP8": StatedFormat(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.STATIC),
    "FP8_PER_CHANNEL_PER_TOKEN": StatedFormat(
        kind=FormatKind.FP8, bits=8, scale="channel", activation=Activation.DYNAMIC
    ),
    "FP8_PB_WO": StatedFormat(
        kind=FormatKind.FP8, bits=8, scale="block", block=(128, 128), activation=Activation.NONE
    ),
    "NVFP4": StatedFormat(kind=FormatKind.NVFP4, bits=4, group=16, activation=Activation.STATIC),
}  # fmt: skip


def _modelopt(quantization: Quantization, module: str | None) -> Stated:
    inner = quantization.get("quantization")
    settings: Quantization = inner if isinstance(inner, dict) else quantization
    algorithm = str(settings.get("quant_algo", "")).upper()
    for key in ("exclude_modules", "ignore"):
        for entry in strings(settings.get(key)):
            if module is not None and (fnmatch(module, entry) or _excluded(module, [entry])):
                return StatedPlain(by=f"{key} {entry!r}")
    known = _MODELOPT.get(algorithm)
    if known is None:
        return Unstated(reason=f"quant_algo {algorithm!r} is not known")
    return replace(known, certain=_usual(module))


def _compressed_tensors(quantization: Quantization, module: str | None) -> Stated:
    from mixprec_runtime.checkpoint.stated_groups import read_groups  # it takes records from here

    return read_groups(quantization, module)


_READERS: Mapping[str, Callable[[Quantization, str | None], Stated]] = {
    "gptq": _gptq,
    "gptq_marlin": _gptq,
    "awq": _awq,
    "awq_marlin": _awq,
    "fp8": _whole(FormatKind.FP8, "tensor"),
    "fbgemm_fp8": _whole(FormatKind.FP8, "channel"),
    "w8a8_fp8": _whole(FormatKind.FP8, "channel"),
    "w8a8_int8": _whole(FormatKind.INT8, "channel"),
    "blockwise_int8": _whole(FormatKind.INT8, "block"),
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "compressed-tensors": _compressed_tensors,
}
