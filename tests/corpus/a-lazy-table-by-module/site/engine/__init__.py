import importlib

_MODULES = {"q": ["A", "B"], ".r": ("C",)}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name):
    if name in _WHERE:
        module = importlib.import_module(f".{_WHERE[name].lstrip('.')}", __name__)
        return getattr(module, name)
    raise AttributeError(name)
