class A:
    def __init__(self, before): ...


from .q import *


class B:
    def __init__(self, after): ...


from .r import *
