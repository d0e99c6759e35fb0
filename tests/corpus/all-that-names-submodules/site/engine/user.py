from engine.pkg import *
