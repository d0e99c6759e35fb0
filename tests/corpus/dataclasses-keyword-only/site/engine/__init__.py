import dataclasses
from dataclasses import KW_ONLY, dataclass, field


@dataclass(kw_only=True)
class ByClass:
    a: int
    b: int = 1
    c: int = field(default=2, kw_only=False)


@dataclass
class ByField:
    a: int = field(kw_only=True)
    b: int = 1
    c: int = field(default=2)


@dataclass
class BySentinel:
    a: int
    _: KW_ONLY
    b: int = 1
    c: int = field()


@dataclass
class Child(BySentinel):
    d: int = 4


@dataclass(kw_only=True)
class Mixed(ByField):
    d: int


@dataclass
class Again:
    a: int
    _: dataclasses.KW_ONLY
    b: int
