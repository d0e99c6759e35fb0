from typing import NewType


class _Base: ...
Made = type("Made", (_Base,), {"__init__": lambda self, x: None})
NewType_ = NewType("NewType_", int)
