from .pkg import *
