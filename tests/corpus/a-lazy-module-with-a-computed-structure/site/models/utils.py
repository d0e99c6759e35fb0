import importlib
from types import ModuleType


def more():
    return {"b": {"BConfig"}}


class _LazyModule(ModuleType):
    def __init__(self, name, module_file, import_structure, module_spec=None):
        super().__init__(name)
        self._where = {each: module for module, names in import_structure.items() for each in names}
        self.__file__ = module_file
        self.__spec__ = module_spec
        self.__path__ = [module_file.rpartition("/")[0]]

    def __getattr__(self, name):
        if name in self._where:
            return getattr(importlib.import_module("." + self._where[name], self.__name__), name)
        raise AttributeError(name)
