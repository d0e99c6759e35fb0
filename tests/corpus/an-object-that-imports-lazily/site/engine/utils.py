import importlib


class LazyLoader:
    def __init__(self, local, into, name): ...


class LazyImport:
    def __init__(self, module, name): ...
