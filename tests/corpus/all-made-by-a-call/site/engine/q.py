_EXPORTS = {"A": 1, "B": 2}
__all__ = sorted(_EXPORTS)


class A: ...


class B: ...


class C: ...
