from typing import ClassVar, Optional

import msgspec
from msgspec import Struct, field


class Plain(Struct):
    a: int
    b: int = 1
    c: list = msgspec.field(default_factory=list)
    K: ClassVar[int] = 1


class Child(Plain):
    d: int = 4


class Keyword(msgspec.Struct, kw_only=True, omit_defaults=True):
    a: Optional[int] = None
    b: int


class ChildOfKeyword(Keyword):
    c: int


class Tagged(Struct, tag=True, array_like=True, frozen=True):
    t: int


class Renamed(Struct, rename="camel"):
    long_name: int


class Fields(Struct):
    x: int = field(name="y")
    z: int = field(default=3)
