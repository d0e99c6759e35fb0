"""The schema of a mix file (docs/reference/mix-file.md), checked by pydantic."""

from __future__ import annotations

__all__ = ["MixModel"]

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from mixprec_runtime.records.mix import BASE_SOURCE

SHOWN = 100  # characters of a bad target that a message repeats
OWN_ARGUMENTS = frozenset({"model", "quantization", "load_format"})
RANGES = {"tensor_parallel_size": (1, 1024), "port": (1, 65535)}  # arguments that mixprec itself reckons with


def _target(target: str) -> str:
    if target.startswith("re:"):
        try:
            re.compile(target[3:])
        except (re.error, OverflowError, RecursionError) as fault:
            shown = target if len(target) <= SHOWN else f"{target[:SHOWN]}..."
            raise ValueError(f"{shown!r} is no regular expression: {fault}") from fault
    return target


Target = Annotated[str, Field(min_length=1), AfterValidator(_target)]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SourceModel(_Strict):
    """One quantized checkpoint."""

    path: str = Field(min_length=1)


class RuleModel(_Strict):
    """Which modules come from which source."""

    targets: list[Target] = Field(min_length=1)
    source: str


class MixModel(_Strict):
    """The whole file."""

    model: str = Field(min_length=1)
    sources: dict[SourceName, SourceModel] = Field(default_factory=dict)
    default: str = BASE_SOURCE
    rules: list[RuleModel] = Field(default_factory=list)
    ignore: list[Target] = Field(default_factory=list)
    engine: Literal["auto", "vllm", "sglang", "torch"] = "auto"
    serve: dict[str, object] = Field(default_factory=dict)

    @field_validator("serve")
    @classmethod
    def _engine_arguments(cls, serve: dict[str, object]) -> dict[str, object]:
        for name, value in serve.items():
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(item, str | int | float | bool) for item in values):
                raise ValueError(f"{name!r} is no text, number, yes/no or list of them, as an engine argument is")
            known = name.replace("-", "_")
            if known in OWN_ARGUMENTS:
                raise ValueError(f"{name!r} is what mixprec itself tells the engine; leave it out")
            least, most = RANGES.get(known, (0, 0))
            if most and (not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most):
                raise ValueError(f"{name!r} is a whole number from {least} to {most}, found {value!r}")
        return serve

    @field_validator("sources")
    @classmethod
    def _base_is_no_source(cls, sources: dict[str, SourceModel]) -> dict[str, SourceModel]:
        if BASE_SOURCE in sources:
            raise ValueError(f"{BASE_SOURCE!r} is the name of the base model; give this source another one")
        return sources
