from .a import Config
