from engine.b import *
