def is_hip():
    return len("x") != 1
