"""One package per engine: the only modules of the runtime that import an engine."""
