try:
    from absent import A
except AttributeError:
    A = None


class B: ...
