import warnings

_RENAMED = {"OldConfig": "NewConfig", "AnotherOld": "Another"}


def __getattr__(name):
    if name in _RENAMED:
        from engine import new

        warnings.warn(f"{name} is deprecated", DeprecationWarning, stacklevel=2)
        return getattr(new, _RENAMED[name])
    raise AttributeError(name)
