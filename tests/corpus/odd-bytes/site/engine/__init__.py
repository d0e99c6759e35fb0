from .feed import \
    A, \
    f
