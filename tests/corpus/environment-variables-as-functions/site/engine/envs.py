import os
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    CACHE_ROOT: str = "~/.cache"
    RANK: int = 0

environment_variables: dict[str, Callable[[], Any]] = {
    "CACHE_ROOT": lambda: os.getenv("CACHE_ROOT", "~/.cache"),
    "RANK": lambda: int(os.getenv("RANK", "0")),
}


def __getattr__(name: str):
    if name in environment_variables:
        return environment_variables[name]()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return list(environment_variables.keys())
