from engine.a import A


class B: ...
