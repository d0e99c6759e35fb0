class Registry:
    NAME = "x"

    @classmethod
    def build(cls, what, *, fast=False): ...

    @staticmethod
    def registered(name): ...

    def method(self, x, y=1): ...


_registry = Registry()
build = Registry.build
NAME = Registry.NAME
registered = Registry.registered
instance_method = _registry.method
