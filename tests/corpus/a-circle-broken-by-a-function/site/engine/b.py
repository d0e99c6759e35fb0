class B:
    def make(self):
        from .a import A

        return A
