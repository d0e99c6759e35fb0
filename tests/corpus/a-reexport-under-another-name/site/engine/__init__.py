from engine.deep.place import A as B
from .deep.place import C
