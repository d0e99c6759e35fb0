from engine.b import B


class A: ...
