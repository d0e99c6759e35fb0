class CustomOp:
    op_registry = {}

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *, enforce_enable: bool = False):
        super().__init__()

    @classmethod
    def register(cls, name: str, dynamic_arg_dims: dict | None = None):
        def decorator(op_cls):
            assert name not in cls.op_registry
            setattr(op_cls, "name", name)
            cls.op_registry[name] = op_cls
            return op_cls

        return decorator
