import functools
from typing import Protocol, final, runtime_checkable

REGISTRY = {}


class CustomOp:
    @classmethod
    def register(cls, name):
        def decorator(op):
            REGISTRY[name] = op
            return op

        return decorator


@CustomOp.register("registered")
class Registered:
    def __init__(self, a): ...


@runtime_checkable
class Runtime(Protocol):
    def run(self): ...


@final
class Final:
    def __init__(self, f): ...


@functools.total_ordering
class Total:
    def __init__(self, t): ...

    def __lt__(self, other): ...


def replace(cls):
    def make(*args):
        return cls(*args)

    return make


@replace
class Replaced:
    def __init__(self, r): ...
