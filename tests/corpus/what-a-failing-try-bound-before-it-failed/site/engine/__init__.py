try:
    from other import A
    from absent import B
except ImportError:
    pass
