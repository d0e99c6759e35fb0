def _probe():
    try:
        import absent
    except ImportError:
        return False
    return True


_is_cuda = _probe() or len("x") == 1
HAS = True
if _is_cuda and HAS:

    class Fast: ...


class Slow:
    try:
        import absent
    except ImportError:
        absent = None

    def __init__(self, slow): ...
