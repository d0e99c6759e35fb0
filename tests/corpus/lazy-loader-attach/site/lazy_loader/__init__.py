import importlib


def attach(package_name, submodules=None, submod_attrs=None):
    where = {name: module for module, names in (submod_attrs or {}).items() for name in names}
    submodules = set(submodules or ())

    def __getattr__(name):
        if name in submodules:
            return importlib.import_module(f"{package_name}.{name}")
        if name in where:
            return getattr(importlib.import_module(f"{package_name}.{where[name]}"), name)
        raise AttributeError(name)

    return __getattr__, lambda: sorted(where), [*submodules, *where]
