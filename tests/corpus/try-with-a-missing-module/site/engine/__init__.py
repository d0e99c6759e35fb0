from typing import Any

try:
    from absent.a import A
    from absent.b import B
except ImportError:
    A = None
    B = Any
    from .fallback import C
else:
    C = 1
finally:
    from .fallback import D
