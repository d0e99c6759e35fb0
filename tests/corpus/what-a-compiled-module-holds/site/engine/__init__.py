try:
    from engine._c.other import g

    OK = True
except ImportError:
    OK = False
from engine._c.ops import f
