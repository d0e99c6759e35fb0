from .d import Renamed as Config
