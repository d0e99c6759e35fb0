from typing import Generic, TypeVar

from .base import *
from . import base as b

T = TypeVar("T")


class A(Base): ...


class B(b.Base, Generic[T]):
    def __init__(self, own, *, flag=False): ...


class C(B[int]): ...


class D: ...


class E(A, D): ...


class F(object):
    __slots__ = ()
