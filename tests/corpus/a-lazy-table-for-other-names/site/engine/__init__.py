_CLASSES = {"fp8": "Fp8Config", "Fp8Config": "engine.q", "gptq": "engine.q"}


def __getattr__(name):
    raise AttributeError(name)
