import dataclasses as dc
from dataclasses import dataclass as data
from dataclasses import field as f
from functools import partial

frozen = partial(data, frozen=True)
only = dc.dataclass(kw_only=True)


@data
class A:
    a: int = f(default=1)
    b: int = f(init=False, default=1)


@dc.dataclass
class B:
    b: int


@frozen
class C:
    c: int


@only
class D:
    d: int
