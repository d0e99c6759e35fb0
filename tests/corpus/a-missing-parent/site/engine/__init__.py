class A: ...


from .sub import B
