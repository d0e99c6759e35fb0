import sys


class A:
    if sys.version_info >= (3, 0):

        def __init__(self, new): ...
    else:

        def __init__(self, old, older): ...


class B:
    try:
        import absent

        def __init__(self, absent): ...
    except ImportError:

        def __init__(self, present): ...
