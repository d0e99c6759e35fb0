from dataclasses import field
from typing import Any

import pydantic
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from pydantic.fields import Field as PydanticField
from typing_extensions import dataclass_transform


@dataclass_transform(field_specifiers=(PydanticField,))
def config(cls=None, *, config=None, **kwargs):
    merged = ConfigDict(extra="forbid")
    if config is not None:
        merged.update(config)

    def decorator(cls):
        return dataclass(cls, config=merged, **kwargs)

    return decorator if cls is None else decorator(cls)
