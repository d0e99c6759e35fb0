import absent.thing


class C: ...
