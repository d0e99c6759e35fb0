from dataclasses import dataclass, field
from typing import Any, dataclass_transform


@dataclass_transform(field_specifiers=(field,))
def config(cls=None, *, kw_only=False, **kwargs):
    def decorator(cls):
        return dataclass(cls, kw_only=kw_only, **kwargs)

    return decorator if cls is None else decorator(cls)


def plain_config(cls):
    return dataclass(cls)


def register(name):
    def decorator(cls):
        return cls

    return decorator
