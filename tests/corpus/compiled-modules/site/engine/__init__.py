from ._c import A

try:
    from ._c import B
except ImportError:
    B = None
