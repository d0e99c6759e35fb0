__all__ = ("B",)
__all__ = list(__all__)


class B: ...
