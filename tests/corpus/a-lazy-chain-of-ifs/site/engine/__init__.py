import importlib


def __getattr__(name):
    if name == "A":
        from .q import A

        return A
    if name in ("B", "D"):
        from engine import q

        return getattr(q, name)
    if name == "Renamed":
        from .q import Original

        return Original
    if name == "deep":
        return importlib.import_module(".deep", __name__)
    raise AttributeError(name)
