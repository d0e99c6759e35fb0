import dataclasses
from dataclasses import dataclass, field
from typing import Optional


@dataclass
class Base:
    x: int
    y: int = 1
    z: "Optional[int]" = None


@dataclasses.dataclass()
class Child(Base):
    w: list = field(default_factory=list)
    x: int = 5

    def method(self): ...


class Plain(Child):
    extra: int = 3


@dataclass(frozen=True, eq=True)
class Frozen:
    a: int
    b: str = "b"
    c = 3


@dataclass(slots=True)
class Slotted:
    a: int
    b: tuple = ()


@dataclass
class Grand(Plain):
    last: int = 0
