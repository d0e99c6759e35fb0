import builtins

try:
    from absent import A
except (AttributeError, ImportError):
    A = None
try:
    from absent import B
except:
    B = None
try:
    from absent import C
except Exception as fault:
    C = None
try:
    from absent import D
except builtins.ImportError:
    D = None
