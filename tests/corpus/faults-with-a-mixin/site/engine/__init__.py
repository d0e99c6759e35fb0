class Mixin:
    def __init__(self, *, code, detail=None): ...


class A(Mixin, TypeError):
    msg = "a"


class B(A): ...


class C(ValueError, Mixin):
    def __init__(self, own): ...
