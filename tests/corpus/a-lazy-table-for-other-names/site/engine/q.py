class Fp8Config: ...


gptq = 1
