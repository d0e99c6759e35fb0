from .q import *
