from .device import is_cuda

__all__ = ["A"]


class A: ...


class C: ...


if is_cuda():
    from .r import B

    __all__ += ["B"]
