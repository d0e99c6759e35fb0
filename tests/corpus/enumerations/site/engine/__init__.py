import enum
from enum import Enum, IntEnum


class Colour(Enum):
    RED = 1


class Text(str, enum.Enum):
    A = "a"

    def __new__(cls, value):
        it = str.__new__(cls, value)
        it._value_ = value
        return it


class Number(IntEnum):
    ONE = 1
