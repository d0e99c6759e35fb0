from .config import Fp8Config
from .linear import Fp8LinearMethod
