class A:
    def __init__(self, a,
                 b=1):
        pass


def f(x): return x
