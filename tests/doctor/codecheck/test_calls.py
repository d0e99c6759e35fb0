"""Calls held against signatures, and chains of names."""

from __future__ import annotations

import pytest

from tests.doctor.codecheck.conftest import Bench, told

ENGINE = {
    "args.py": """
        from dataclasses import dataclass
        from typing import TypedDict
        @dataclass
        class Params:
            size: int
            name: str = ""
            @classmethod
            def make(cls, size, *, deep=False): ...
            @staticmethod
            def plain(one): ...
            def method(self, x): ...
        class Prompt(TypedDict):
            ids: list
        from pydantic import BaseModel
        class Model(BaseModel):
            size: int
        class Strict(BaseModel):
            model_config = ConfigDict(extra="forbid")
            size: int
        def serve(config, port=1, *, host): ...
        def decorated(f): return unknown(f)
        @decorated
        def strange(a): ...
        def anything(*args, **kwargs): ...
        """,
    "llm.py": """
        from vllm.args import Params
        class LLM:
            def __init__(self, model, **kwargs):
                self.params = Params(1, **kwargs)
        """,
    "swap.py": """
        class Op:
            registry = {}
            def __new__(cls, *args, **kwargs):
                return super().__new__(cls.registry.get(cls.__name__, cls))
        class Layer(Op):
            def __init__(self, size): ...
        """,
}
HEAD = "import functools\nfrom vllm.args import Model, Params, Prompt, Strict, anything, serve, strange\nfrom vllm.llm import LLM\n"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("Params()", "nothing for size"),
        ("Params(1, sise=2)", "no parameter sise"),
        ("Params(1, 'a', 2)", "1 positional argument too many"),
        ("Params(1, size=2)", "size given twice"),
        ("Params.make(1, depth=2)", "no parameter depth"),
        ("Params.plain()", "nothing for one"),
        ("Params.method(1)", "nothing for x"),
        ("serve(1)", "nothing for host"),
        ("Model(more=1)", "nothing for size"),
        ("Strict(size=1, more=2)", "no parameter more"),
        ("functools.partial(serve, prt=1)", "no parameter prt"),
        ("LLM('m', nmae='x')", "no parameter nmae"),
        ("(lambda: Params())", "nothing for size"),
    ],
)
def test_a_call_that_does_not_bind_is_an_error(bench: Bench, call: str, words: str) -> None:
    (found,) = bench.findings(HEAD + call, ENGINE)
    assert (found.finding.code, found.finding.severity.value) == ("MP805", "error")
    assert words in found.finding.summary


@pytest.mark.parametrize(
    "call",
    [
        "Params(1, name='a')",
        "Params(*sizes)",
        "Params(**words)",
        "Params(1, **words)",
        "Params.make(1, deep=True)",
        "Params.method(Params(1), 2)",
        "functools.partial(serve, 1)",
        "Prompt(ids=[1], more=2)",
        "Model(size=1, more=2)",
        "strange(1, 2, 3)",
        "anything(1, a=2)",
        "LLM('m', name='x')",
        "[Params for Params in ()] and Params(1)",
        "(lambda Params: Params())(dict)",
    ],
)
def test_a_call_that_binds_or_cannot_be_known_is_no_finding(bench: Bench, call: str) -> None:
    assert bench.findings(HEAD + call, ENGINE) == ()


def test_an_unknown_keyword_is_underlined(bench: Bench) -> None:
    (found,) = bench.findings("from vllm.args import Params\n'ä', Params(1, näme='ö')", ENGINE)
    assert found.source[found.place.column - 1 : found.place.end_column - 1] == "näme"


def test_a_name_that_a_function_binds_otherwise_is_not_the_import(bench: Bench) -> None:
    code = """
        from vllm.args import Params
        def f(Params): Params()
        def g():
            Params = dict
            return Params()
        class C:
            Params = dict
            def h(self): return self.Params()
        """
    assert bench.findings(code, ENGINE) == ()


def test_calls_of_super_are_bound_to_the_base(bench: Bench) -> None:
    code = """
        from vllm.args import Params
        class Mine(Params):
            def __init__(self):
                super().__init__()
                super().gone()
        """
    assert told(bench.findings(code, ENGINE)) == [("MP805", "error", 5), ("MP804", "error", 6)]


def test_super_goes_past_a_mixin_without_a_constructor(bench: Bench) -> None:
    engine = {"m.py": "class Mixin: ...\nclass Base:\n    def __init__(self, a): ...\n"}
    code = """
        from vllm.m import Base, Mixin
        class Mine(Mixin, Base):
            def __init__(self):
                super().__init__(1)
        class Alone(Mixin):
            def __init__(self):
                super().__init__(1)
        """
    assert told(bench.findings(code, engine)) == [("MP805", "error", 8)]


def test_what_the_code_itself_replaces_is_not_held_against_the_release(bench: Bench) -> None:
    code = """
        import vllm.args
        def mine(anything_at_all): ...
        vllm.args.serve = mine
        from vllm.args import serve
        serve(anything_at_all=1)
        """
    assert [each for each in told(bench.findings(code, ENGINE)) if each[0] == "MP805"] == []


def test_a_class_that_may_make_another_is_not_judged_where_the_code_has_one(bench: Bench) -> None:
    own = "class Mine(Layer):\n    def __init__(self, size, more): ...\n"
    bench.write(f"from vllm.swap import Layer\n{own}Layer(1, more=2)\n", "own.py")
    assert told(bench.findings("", ENGINE)) == []
    bench.write("from vllm.swap import Layer\nLayer(1, more=2)\n", "own.py")
    assert told(bench.report().findings) == [("MP805", "error", 2)]


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("vllm.args.Params.make", []),
        ("vllm.args.Params.gone", ["MP804"]),
        ("vllm.args.gone", ["MP804"]),
        ("vllm.args.Params.register", []),
        ("vllm.args.Params.__doc__", []),
        ("vllm.args.Params.name", []),
        ("vllm.args.Prompt.keys", []),
        ("vllm.swap.Layer.registry", []),
    ],
)
def test_chains_are_followed_into_classes(bench: Bench, chain: str, expected: list[str]) -> None:
    found = bench.findings(f"import vllm.args, vllm.swap\n{chain}\n", ENGINE)
    assert [each.finding.code for each in found] == expected


def test_attributes_of_a_class_with_an_unread_base_are_not_denied(bench: Bench) -> None:
    engine = ENGINE | {"layer.py": "import torch\nclass Layer(torch.nn.Module):\n    def forward(self): ...\n"}
    assert bench.findings("import vllm.layer\nvllm.layer.Layer.cuda\n", engine) == ()


def test_a_chain_in_an_annotation_that_nobody_evaluates_is_a_warning(bench: Bench) -> None:
    code = "from __future__ import annotations\nimport vllm.args\ndef f(x: vllm.args.Gone): ...\n"
    assert told(bench.findings(code, ENGINE)) == [("MP804", "warning", 3)]
