class A: ...


def __getattr__(name):
    return f"<{name}>"
