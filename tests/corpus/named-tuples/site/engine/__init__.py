import collections
import typing
from collections import namedtuple
from typing import NamedTuple


class Typed(NamedTuple):
    a: int
    b: int = 1

    def method(self): ...


Functional = NamedTuple("Functional", [("a", int), ("b", str)])
Plain = namedtuple("Plain", ["a", "b"])
Spaced = collections.namedtuple("Spaced", "a b c")
Commas = namedtuple("Commas", "a, b", defaults=(1,))
Defaults = namedtuple("Defaults", ("a", "b", "c"), defaults=[None, 2])


class Sub(Typed):
    c: int = 3


class Own(namedtuple("Own", "x y")):
    __slots__ = ()
