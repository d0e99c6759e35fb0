class A:
    class Inner: ...

    from .q import Q as Inner2


def f():
    local = 1
    return local
