try:
    from absent import A
except AttributeError:
    A = 1
except ModuleNotFoundError:
    A = None
except ImportError:
    A = 2

try:
    from other import Gone as B
except ModuleNotFoundError:
    B = 1
except ImportError:
    from other import B

try:
    from absent import C
except Exception:
    from other import B as C
except ImportError:
    C = 3
