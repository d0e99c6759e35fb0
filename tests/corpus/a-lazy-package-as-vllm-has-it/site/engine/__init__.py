import typing

MODULE_ATTRS = {"LLM": ".entrypoints.llm:LLM", "EngineArgs": ".engine.arg_utils:EngineArgs"}

if typing.TYPE_CHECKING:
    from engine.engine.arg_utils import EngineArgs
    from engine.entrypoints.llm import LLM
else:

    def __getattr__(name: str) -> typing.Any:
        from importlib import import_module

        if name in MODULE_ATTRS:
            module_name, attr_name = MODULE_ATTRS[name].split(":")
            module = import_module(module_name, __package__)
            return getattr(module, attr_name)
        else:
            raise AttributeError(f"module {__package__} has no attribute {name}")


from .version import version

__all__ = ["version", "LLM", "EngineArgs"]
