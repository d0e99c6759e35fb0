try:
    from absent import A
except ImportError:
    try:
        from absent2 import A
    except ImportError:
        from other import A

try:
    try:
        from absent import B
    except ImportError:
        from other import B
except ImportError:
    B = None
