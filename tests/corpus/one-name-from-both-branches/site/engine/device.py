def is_cuda():
    return len("x") == 1
