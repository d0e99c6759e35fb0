import engine.e as last

Renamed = last.Config
