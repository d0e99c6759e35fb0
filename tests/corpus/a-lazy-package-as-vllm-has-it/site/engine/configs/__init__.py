import importlib

_CLASS_TO_MODULE: dict[str, str] = {
    "AConfig": "engine.configs.a",
    "BConfig": "engine.configs.b",
}

__all__ = ["AConfig", "BConfig"]


def __getattr__(name: str):
    if name in _CLASS_TO_MODULE:
        module_name = _CLASS_TO_MODULE[name]
        module = importlib.import_module(module_name)
        return getattr(module, name)
    raise AttributeError(f"module 'configs' has no attribute '{name}'")


def __dir__():
    return sorted(list(__all__))
