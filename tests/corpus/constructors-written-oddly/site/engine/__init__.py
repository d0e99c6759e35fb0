import functools
import inspect


class Base:
    def __init__(self, base): ...


def _init(self, assigned, more=1): ...


class Assigned(Base):
    __init__ = _init


def wrap(function):
    @functools.wraps(function)
    def inner(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    return inner


class Decorated(Base):
    @wrap
    def __init__(self, decorated): ...


class Twice(Base):
    def __init__(self, first): ...

    def __init__(self, second): ...


class Signed(Base):
    __signature__ = inspect.Signature([inspect.Parameter("signed", inspect.Parameter.KEYWORD_ONLY)])


class Last(Base):
    def __init__(self, a, *, b=1): ...

    __init__.mark = True
