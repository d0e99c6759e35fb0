from .utils import LazyImport, LazyLoader

xgr = LazyLoader("xgr", globals(), "other")
Config = LazyImport("engine.q", "Config")
