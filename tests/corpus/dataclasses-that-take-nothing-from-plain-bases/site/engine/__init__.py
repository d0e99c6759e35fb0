from dataclasses import dataclass


class Plain:
    p: int = 1

    def __init__(self, plain): ...


@dataclass
class A(Plain):
    a: int


class Between(A):
    b: int = 2


@dataclass
class Sub(Between):
    c: int = 3
