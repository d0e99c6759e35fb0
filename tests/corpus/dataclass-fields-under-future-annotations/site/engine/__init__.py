from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import InitVar, dataclass, field


@dataclass
class A:
    a: int
    b: t.ClassVar[int] = 1
    c: InitVar[int | None] = None
    _: dataclasses.KW_ONLY
    d: list[str] = field(default_factory=list)


@dataclass(repr=False, kw_only=False)
class B(A):
    a: "str" = "x"
    e: t.Optional[A] = dataclasses.field(default=None, kw_only=True)
