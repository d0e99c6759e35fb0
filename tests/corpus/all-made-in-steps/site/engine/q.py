__all__ = ["A", "F"]
__all__ += ["B"]
__all__.extend(["C"])
__all__.append("D")
__all__.remove("F")


class A: ...


class B: ...


class C: ...


class D: ...


class E: ...


class F: ...
