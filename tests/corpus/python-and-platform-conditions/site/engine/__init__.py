import os
import platform
import sys

if sys.version_info >= (3, 10):
    from .q import A
else:
    A = 1
if sys.version_info[:2] < (3, 10):
    B = 1
else:
    from .q import B
if sys.version_info.major == 2:
    C = 1
else:
    from .q import C
if sys.platform == "plan9":
    D = 1
elif sys.platform.startswith("plan9"):
    D = 2
else:
    from .q import D
if platform.machine() == "riscv128":
    E = 1
if os.name == "java":
    F = 1
else:
    from .q import F
if sys.version_info < (3, 0) or sys.platform in ("plan9", "beos"):
    G = 1
if (3, 9) <= sys.version_info[0:2]:
    from .q import H
