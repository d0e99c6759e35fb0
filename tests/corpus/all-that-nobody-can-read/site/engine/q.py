__all__ = [name for name in ("A", "B", "C") if name < "C"]


class A: ...


class B: ...
