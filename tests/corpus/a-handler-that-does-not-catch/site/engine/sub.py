class D: ...


try:
    from other import Gone as C
except ModuleNotFoundError:
    C = None
