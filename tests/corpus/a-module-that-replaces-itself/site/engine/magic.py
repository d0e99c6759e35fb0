import sys


class A: ...


class _Proxy:
    def __getattr__(self, name):
        return name.lower()


sys.modules[__name__] = _Proxy()
