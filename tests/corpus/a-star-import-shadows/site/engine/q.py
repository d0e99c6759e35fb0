class A:
    def __init__(self, q): ...


class B:
    def __init__(self, q): ...


class C:
    def __init__(self, q): ...
