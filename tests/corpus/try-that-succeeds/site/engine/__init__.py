try:
    from other.a import A

    B = A
except ImportError:
    A = B = None
    C = 1
else:
    from other.a import E as C
finally:
    from other.a import D
