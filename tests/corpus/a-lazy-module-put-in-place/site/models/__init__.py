import sys
from typing import TYPE_CHECKING

from .utils import _LazyModule

_import_structure = {"configuration_a": ["AConfig"], "modeling_a": ["AModel"]}
try:
    import absent
except ImportError:
    pass
else:
    _import_structure["modeling_c"] = ["CModel"]
_import_structure["modeling_b"] = ["BModel"]

if TYPE_CHECKING:
    from .configuration_a import AConfig
    from .modeling_a import AModel
else:
    sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], _import_structure, module_spec=__spec__)
