from .decorators import support_torch_compile


@support_torch_compile
class Bare:
    def __init__(self, *, vllm_config, prefix: str = ""): ...


@support_torch_compile(dynamic_arg_dims={"x": 0})
class Called:
    def __init__(self, *, vllm_config, prefix: str = ""): ...
