from . import new as _new


def __getattr__(name):
    return getattr(_new, name)
