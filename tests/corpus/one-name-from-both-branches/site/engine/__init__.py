from .device import is_cuda

if is_cuda():
    from .cuda import A
    from .shared import B
else:
    from .cpu import A
    from .shared import B
