from .q import A as _A

globals()["A"] = _A
globals()["X"] = 3
for name in ("one", "two"):
    globals()[name] = name
