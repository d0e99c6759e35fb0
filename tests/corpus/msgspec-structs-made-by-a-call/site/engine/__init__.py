import msgspec
from msgspec import defstruct

Made = defstruct("Made", ["a", ("b", int), ("c", int, 3)])
Keyword = msgspec.defstruct("Keyword", [("a", int), ("b", int, 1)], kw_only=True)


class Base(msgspec.Struct):
    x: int


Based = defstruct("Based", [("y", int)], bases=(Base,))
