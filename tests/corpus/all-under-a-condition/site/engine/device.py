def is_cuda():
    return bool(len("x"))
