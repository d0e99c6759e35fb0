import functools
import math
from functools import partial


def f(a, b, c=3, *, d=4): ...


class A:
    def __init__(self, x, y=1): ...


first = partial(f, 1)
named = functools.partial(f, b=2, d=5)
cls = partial(A, 1)
unknown = partial(math.pow, 2)
