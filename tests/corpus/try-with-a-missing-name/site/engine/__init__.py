try:
    from other.a import A
    from other.a import Gone
except ImportError:
    A = object
    from other.a import B
