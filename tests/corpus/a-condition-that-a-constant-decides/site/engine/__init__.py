USE_FAST = False
LEVEL = 2
if USE_FAST:
    A = 1
if LEVEL > 1:

    class B: ...


if not USE_FAST:

    class C: ...


if "":
    D = 1
while True:
    E = 1
    break
