__all__ = ["A"]


class A: ...


class Hidden: ...
