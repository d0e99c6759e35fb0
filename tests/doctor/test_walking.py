"""Walks over syntax trees."""

import ast

import pytest

from mixprec_doctor.source.walking import statements_in, walk

SOURCES = (
    "import a\nif (b := f(c)):\n    from d import e\nelse:\n    x = [y for y in z if not y]\n",
    "try:\n    import a\nexcept (E, F) as fault:\n    raise G from fault\nelse:\n    b += 1\nfinally:\n    del c\n",
    "class A(B, metaclass=C):\n    x: int = 1 if y else 2\n    async def f(self, *a, k=lambda: 3):\n        import d\n",
    "match a:\n    case {'k': [*rest], **others}:\n        import b\n    case C(x=1) | None:\n        pass\n",
    "for a, (b, *c) in d:\n    with e as f, g:\n        while h < i < j and not k:\n            import l\n        else:\n            pass\nelse:\n    m = f'{n!r:>{o}}'\n",
)
_PLAIN = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)


@pytest.mark.parametrize("source", SOURCES)
def test_a_walk_meets_the_nodes_of_ast_walk_in_its_order(source: str) -> None:
    tree = ast.parse(source)
    wanted = [node for node in ast.walk(tree) if not isinstance(node, _PLAIN)]
    assert [node for node in walk(tree) if not isinstance(node, _PLAIN)] == wanted


@pytest.mark.parametrize("source", SOURCES)
def test_statements_are_found_wherever_one_can_stand(source: str) -> None:
    tree = ast.parse(source)
    wanted = {node for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    found = list(statements_in(tree))
    assert set(found) == wanted
    assert len(found) == len(wanted)
