from .config import config
from . import other


def other(x): ...


def third(): ...


from .third import something
from .fourth import fourth as _fourth
