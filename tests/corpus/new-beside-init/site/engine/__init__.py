class OnlyNew:
    def __new__(cls, x): ...


class NewNear(OnlyNew):
    def __init__(self, x, y): ...


class InitNear:
    def __init__(self, a): ...

    def other(self): ...


class Near(InitNear):
    def __new__(cls, b): ...


class Passing:
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, size): ...


class Sub(Passing):
    def __init__(self, size, more=1): ...
