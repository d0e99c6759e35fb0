try:
    from absent.a import A

    HAS = True
except ImportError:
    A = None
    HAS = False
if HAS:
    pass
else:

    class B:
        def __init__(self, b): ...


try:
    from engine.q import C
except ImportError:
    C = None
