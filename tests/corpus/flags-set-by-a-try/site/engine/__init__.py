try:
    import absent

    VLLM_AVAILABLE = True
except ImportError:
    VLLM_AVAILABLE = False

HAS_OTHER = False
try:
    import other

    HAS_OTHER = True
except ImportError:
    pass

if HAS_OTHER:
    from other import A
if VLLM_AVAILABLE:
    from absent import B
else:
    B = None
if not VLLM_AVAILABLE and HAS_OTHER:
    from other import C
if not VLLM_AVAILABLE:
    D = None
else:
    from absent import D
if VLLM_AVAILABLE or not HAS_OTHER:
    E = 1
