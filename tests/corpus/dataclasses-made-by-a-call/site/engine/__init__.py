import dataclasses
from dataclasses import dataclass, field, make_dataclass

Made = make_dataclass("Made", ["a", ("b", int), ("c", int, 3), ("d", list, field(default_factory=list))])
Keyword = make_dataclass("Keyword", [("a", int)], kw_only=True)


class _Plain:
    a: int
    b: int = 1


Wrapped = dataclass(_Plain)
Based = dataclasses.make_dataclass("Based", [("z", int, 1)], bases=(Made,))
