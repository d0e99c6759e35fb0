import typing
from dataclasses import InitVar, dataclass, field
from typing import ClassVar


@dataclass
class A:
    a: int
    hidden: int = field(init=False, default=3)
    c: ClassVar[int] = 1
    d: "ClassVar[int]" = 1
    e: typing.ClassVar = 1
    f: InitVar[int] = 7
    g: "typing.ClassVar[dict[str, int]]" = {}
    h: dict = field(default_factory=dict, repr=False)


@dataclass
class B:
    a: int = field(init=False)
    b: int = field(repr=False)

    def __post_init__(self): ...


@dataclass
class C:
    if True:
        a: int = 1
    b: int = 2


@dataclass
class Child(B):
    a: int = 3
    b: int = field(init=False, default=2)
