import attr
import attrs
from attrs import Factory, define, field, frozen


@define
class Modern:
    a: int
    _b: int = 1
    c: list = field(factory=list)
    d: int = field(default=3, kw_only=True)
    e: int = field(init=False, default=1)


@frozen
class Frozen:
    x: int = field()


@attr.s(auto_attribs=True)
class Old:
    a: int
    b: list = attr.ib(default=attr.Factory(list))


@attrs.define(kw_only=True)
class Keyword:
    a: int
    b: int = 2


@define
class Child(Modern):
    z: int = 9
