class A:
    def __init__(self, a): ...


class B:
    def __init__(self, b): ...


class C:
    def __init__(self, c): ...
