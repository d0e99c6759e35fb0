from engine.custom_op import CustomOp


@CustomOp.register("linear_base")
class LinearBase(CustomOp):
    def __init__(self, input_size: int, output_size: int, *, prefix: str = ""): ...


@CustomOp.register("column")
class Column(LinearBase):
    def __init__(self, input_size: int, output_size: int, bias: bool = True, *, prefix: str = ""): ...


@CustomOp.register("rms")
class RMSNorm(CustomOp):
    pass
