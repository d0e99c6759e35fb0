try:
    from absent import A
except ImportError as fault:
    raise RuntimeError("pip install absent") from fault


class B: ...
