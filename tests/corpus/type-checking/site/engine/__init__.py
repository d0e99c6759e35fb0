import typing
import typing as t
from typing import TYPE_CHECKING, Any
from typing import TYPE_CHECKING as CHECKING

if TYPE_CHECKING:
    from .q import A, B
else:
    B = Any
if typing.TYPE_CHECKING:
    from .q import D
else:
    D = object
if not TYPE_CHECKING:
    from .q import C
if CHECKING or t.TYPE_CHECKING:
    from .q import E
if False:
    from .q import F
