from .utils import config, plain_config, register


@config
class Marked:
    a: int
    b: int = 1


@config(kw_only=True)
class Called:
    a: int


@plain_config
class Bare:
    a: int = 1


@register("name")
class Passing:
    a: int = 3

    def __init__(self, own): ...
