from engine.platforms import current_platform
