from dataclasses import dataclass


@dataclass
class A:
    a: int = 1


@dataclass
class B(A):
    b: int = 2


@dataclass
class C(A):
    c: int = 3
    a: int = 9


@dataclass
class D(B, C):
    d: int = 4
