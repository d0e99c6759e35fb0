from dataclasses import InitVar, field
from typing import ClassVar, Literal

from pydantic import Field, SkipValidation, field_validator

from .utils import config

CacheDType = Literal["auto", "fp8"]


@config
class CacheConfig:
    """Configuration."""

    DEFAULT: ClassVar[int] = 16

    block_size: SkipValidation[int] = None
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    cache_dtype: CacheDType = "auto"
    num_gpu_blocks: int | None = field(default=None, init=False)
    sizes: list = field(default_factory=list)

    @field_validator("cache_dtype", mode="after")
    @classmethod
    def _check(cls, value):
        return value
