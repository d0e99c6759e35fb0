from .q import A, B, C

X = Y = A
P, (Q, R) = A, (B, C)
[first, *rest, last] = [A, B, C, A]
