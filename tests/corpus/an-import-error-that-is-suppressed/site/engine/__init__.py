import contextlib
from contextlib import suppress

with suppress(ImportError):
    from other import A
    from absent import B
with contextlib.suppress(ImportError, AttributeError):
    from absent import C
with suppress(ImportError), suppress(ValueError):
    from other import D
