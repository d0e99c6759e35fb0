class A: ...


raise ImportError("not on this platform")
