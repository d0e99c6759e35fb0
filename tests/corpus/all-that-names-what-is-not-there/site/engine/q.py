__all__ = ["A", "Gone"]


class A: ...
