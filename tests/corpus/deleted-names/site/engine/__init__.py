from .q import A, B, C, D

del A, (B)
del C


class C: ...


for _D in (D,):
    pass
del _D
