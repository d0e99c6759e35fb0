import sys

from .utils import _LazyModule, more

_base = {"a": ["AConfig"]}
import_structure = {key: set(value) for key, value in _base.items()}
import_structure.update(more())
sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], import_structure, module_spec=__spec__)
