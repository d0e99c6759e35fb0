from . import flags
from .flags import HAS_ABSENT, HAS_OTHER as OTHER

if OTHER:
    from other import A
if flags.HAS_ABSENT:
    from absent import B
elif not HAS_ABSENT:
    from other import B
