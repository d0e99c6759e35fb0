from . import c

Config = c.Config
