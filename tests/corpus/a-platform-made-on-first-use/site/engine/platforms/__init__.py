from typing import TYPE_CHECKING

from .interface import Platform

_current_platform = None

if TYPE_CHECKING:
    current_platform: Platform


def resolve():
    return Platform()


def __getattr__(name: str):
    if name == "current_platform":
        global _current_platform
        if _current_platform is None:
            _current_platform = resolve()
        return _current_platform
    elif name in globals():
        return globals()[name]
    else:
        raise AttributeError(f"No attribute named '{name}' exists in {__name__}.")


def __setattr__(name: str, value):
    if name in globals():
        globals()[name] = value
    else:
        raise AttributeError(name)
