_makers = {"VALUE": lambda: 3}


def __getattr__(name):
    if name == "platform":
        return object()
    if name in _makers:
        return _makers[name]()
    raise AttributeError(name)
