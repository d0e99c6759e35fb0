class C: ...


from ...nowhere import B
