from .platforms import current_platform, is_cuda, is_npu

_is_npu = is_npu()
if is_cuda():
    from .kernels import A
if _is_npu:
    pass
else:
    from .kernels import B
if current_platform.is_cuda():
    if not _is_npu:
        pass
    if _is_npu:
        pass
    else:
        from .kernels import C
if is_cuda():
    pass
elif _is_npu:
    from .kernels import D
