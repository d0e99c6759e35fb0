type X = list[int]


class A[T]:
    def __init__(self, a: T): ...


class B[T](A[T]): ...


def f[T: int](x: T, *, y: T = 1) -> T: ...
