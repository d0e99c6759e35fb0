from .config import Fp8Config


class Fp8LinearMethod:
    def __init__(self, quant_config: Fp8Config): ...
