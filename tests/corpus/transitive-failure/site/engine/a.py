from .b import B as A


class Own: ...
