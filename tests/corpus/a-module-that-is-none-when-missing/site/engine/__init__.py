try:
    import absent
except ImportError:
    absent = None
try:
    import other
except ImportError:
    other = None

if absent is not None:
    from absent import A
else:
    from other import A
if other is not None:
    from other import B
if other:
    from other import C
if absent is None:
    from other import D
