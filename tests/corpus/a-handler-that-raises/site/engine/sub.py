try:
    from absent import A
except ImportError:
    raise


class B: ...
