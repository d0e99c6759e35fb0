from engine.a import A, B


class B: ...
