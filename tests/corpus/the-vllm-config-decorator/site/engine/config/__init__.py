from engine.config.cache import CacheConfig
from engine.config.model import ModelConfig
