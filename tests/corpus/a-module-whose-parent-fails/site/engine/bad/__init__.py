import absent


class B: ...
