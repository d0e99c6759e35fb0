import contextlib

if (walrus := len("abc")) > 2:
    pass
print_ = [inner := value for value in (1, 2)]

for i, j in ((1, 2), (3, 4)):
    inside = i

with contextlib.nullcontext(5) as handle:
    pass

try:
    pass
except ValueError as fault:
    pass

[n for n in range(3)]


def _make():
    global made
    made = 1


match [1, 2, 3]:
    case [captured, *rest]:
        pass

_make()
while False:
    never = 1
