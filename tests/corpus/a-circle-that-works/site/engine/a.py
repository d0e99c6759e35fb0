class A:
    def __init__(self, a): ...


from .b import B
