from typing import overload


@overload
def support_torch_compile(*, dynamic_arg_dims): ...
@overload
def support_torch_compile(cls): ...


def support_torch_compile(cls=None, *, dynamic_arg_dims=None):
    def cls_decorator_helper(cls):
        if not hasattr(cls, "forward"):
            pass
        return _support(cls, dynamic_arg_dims)

    if cls is not None:
        return cls_decorator_helper(cls)
    return cls_decorator_helper


def _support(cls, dynamic_arg_dims):
    old_init = cls.__init__

    def __init__(self, *args, **kwargs):
        old_init(self, *args, **kwargs)

    __init__.__wrapped__ = old_init
    cls.__init__ = __init__
    return cls
