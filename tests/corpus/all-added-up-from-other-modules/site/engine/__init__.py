from .sum import *
