from engine.fp8 import Fp8Config
