import functools
from contextlib import contextmanager
from functools import lru_cache, wraps


@functools.cache
def cached(x, y=1): ...


@lru_cache(maxsize=None)
def called(x): ...


@contextmanager
def managed(x, *, y=2):
    yield


def wrap(function):
    @wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def replace(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def register(function):
    return function


def register_as(name):
    def decorator(function):
        return function

    return decorator


@wrap
def wrapped(a, b=1): ...


@replace
def replaced(a, b=1): ...


@register
def passing(a): ...


@register_as("x")
def called_with(a): ...
