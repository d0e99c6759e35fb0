from engine.a import A


class B(A):
    def __init__(self, b): ...
