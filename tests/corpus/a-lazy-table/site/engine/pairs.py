import importlib

_LAZY_ATTRS = {"A": ("engine.q", "A"), "B": ("engine.q", "Other")}


def __getattr__(name):
    if name not in _LAZY_ATTRS:
        raise AttributeError(name)
    module, attr = _LAZY_ATTRS[name]
    value = getattr(importlib.import_module(module), attr)
    globals()[name] = value
    return value
