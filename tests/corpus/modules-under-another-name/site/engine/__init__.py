import engine.x.deep as d
import engine.x.deep
import other.inner

A = d.A
B = engine.x.deep.B
C = other.inner.C
