import sys

from .r import Other


class A: ...


class _B: ...
