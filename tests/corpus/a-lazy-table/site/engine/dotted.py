import importlib

MODULE_ATTRS = {"A": ".q:A", "B": ".q:Other"}


def __getattr__(name):
    if name in MODULE_ATTRS:
        module, attr = MODULE_ATTRS[name].split(":")
        return getattr(importlib.import_module(module, __package__), attr)
    raise AttributeError(name)
