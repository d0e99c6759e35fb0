class A: ...


from engine.b import B
