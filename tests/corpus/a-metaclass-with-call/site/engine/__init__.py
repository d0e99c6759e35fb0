from abc import ABCMeta


class Meta(type):
    def __call__(cls, first, *, second=2): ...


class Singleton(type):
    _instances = {}

    def __call__(cls, *args, **kwargs):
        return super().__call__(*args, **kwargs)


class Named(metaclass=Meta):
    def __init__(self, x): ...


class Passing(metaclass=Singleton):
    def __init__(self, size, more=None): ...


class Plain(metaclass=ABCMeta):
    def __init__(self, plain): ...
