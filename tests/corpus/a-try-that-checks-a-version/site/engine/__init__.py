try:
    import other

    if tuple(map(int, other.__version__.split("."))) < (2, 0):
        raise ImportError("too old")
    from other import A
except ImportError:
    A = None
