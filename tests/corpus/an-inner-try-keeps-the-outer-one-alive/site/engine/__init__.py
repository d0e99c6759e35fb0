try:
    try:
        import absent
    except ImportError:
        absent = None
    from other import A

    OK = True
except ImportError:
    A = None
    OK = False

if OK:
    from other import B
