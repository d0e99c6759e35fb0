try:
    from absent import A, B, C
except ImportError:

    class Dummy:
        """Nothing."""

        def __init__(self, *args, **kwargs):
            raise ImportError("pip install absent")

    A = Dummy

    class B:
        def override(self):
            return None

    class C:
        def __init__(self, size):
            self.size = size

        def run(self, x):
            return x * self.size
