_FAULTS = (ImportError, OSError)
try:
    from absent import A
except _FAULTS:
    A = None
