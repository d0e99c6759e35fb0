from .q import A, B, C


class A:
    def __init__(self, own): ...


B = C


def D(first): ...


def D(second): ...


VALUE = 1
VALUE: int = 2
C: type
