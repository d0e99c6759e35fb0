import importlib.util
from importlib.util import find_spec

HAS_OTHER = importlib.util.find_spec("other") is not None
HAS_ABSENT = find_spec("absent") is not None
if HAS_OTHER:
    from other import A
if HAS_ABSENT:
    from absent import B
if importlib.util.find_spec("other.sub"):
    from other import C
if find_spec("absent") is None:
    from other import D
if not find_spec("absent"):
    from other import E
if bool(find_spec("other.gone")):
    F = 1
