from .c import C


class B: ...
