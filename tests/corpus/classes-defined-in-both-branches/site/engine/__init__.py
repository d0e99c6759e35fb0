from .device import is_hip

if is_hip():

    class A:
        def __init__(self, hip): ...

    from .q import B
else:

    class A:
        def __init__(self, cuda): ...

    class B:
        def __init__(self, cuda): ...
