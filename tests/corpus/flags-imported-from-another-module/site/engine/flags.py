try:
    import other
except ImportError:
    HAS_OTHER = False
else:
    HAS_OTHER = True
try:
    import absent
    HAS_ABSENT = True
except ImportError:
    HAS_ABSENT = False
