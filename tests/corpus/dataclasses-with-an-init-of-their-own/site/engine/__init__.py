from dataclasses import dataclass


@dataclass
class Own:
    x: int

    def __init__(self, own): ...


class Base:
    def __init__(self, base): ...


@dataclass(init=False)
class NoInit(Base):
    x: int


@dataclass(init=False)
class Nothing:
    x: int


@dataclass
class Below(NoInit):
    y: int = 1
