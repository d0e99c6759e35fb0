try:
    from broken.deep import A
except ImportError:
    A = None
try:
    from .kernels import B
except ImportError:
    B = None
try:
    import broken
    from other import C
except ImportError:
    C = None
