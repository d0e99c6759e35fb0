try:
    from other import A

    raise ImportError("too new")
except ImportError:
    A = None
try:
    if True:
        raise ValueError
    from other import B
except ValueError:
    from other import C as B
try:
    from other import C
except ImportError:
    raise
