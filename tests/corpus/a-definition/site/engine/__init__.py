class A:
    def __init__(self, a, b=1): ...


def f(x, /, y, *args, z, **kwargs): ...


VALUE = 3
