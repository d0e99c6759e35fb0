from typing import Protocol, TypedDict


class Options(TypedDict, total=False):
    a: int


class P(Protocol):
    def run(self, x): ...


class Impl(P):
    def __init__(self, a): ...
