"""Bindings: which keyword of this release takes what of a checkpoint's config, read from its from_config."""

from __future__ import annotations

import pytest

from mixprec_doctor.checks import find_check
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.reading import Reading
from mixprec_doctor.records.resolution import Binding
from mixprec_doctor.records.role import Role
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import VLLM

QUANT = "vllm/model_executor/layers/quantization"
HEAD = "from vllm.model_executor.layers.quantization.base_config import LinearMethodBase, QuantizationConfig\n"
GETTERS = """
    @staticmethod
    def get_from_keys(config, keys): ...
    @staticmethod
    def get_from_keys_or(config, keys, default): ...
"""


def bound(fake: FakeEnvironment, source: str, role: Role = Role.GPTQ_CONFIG, **files: str) -> Binding:
    """The binding of a role in a vLLM whose gptq module has this source."""
    fake.install("vllm", files={**VLLM, f"{QUANT}/gptq.py": HEAD + source, **files})
    binding = fake.engine("vllm").role(role).binding
    assert binding is not None
    return binding


def config(parameters: str, body: str, *, door: str = "cls, config") -> str:
    """A config class with that constructor and that body of from_config."""
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    return (
        f"class GPTQConfig(QuantizationConfig):\n    def __init__(self, {parameters}): ...\n"
        f"    @classmethod\n    def from_config({door}):\n{lines}"
    )


def reading(fake: FakeEnvironment, body: str) -> Reading:
    """What the one keyword of a constructor takes, by a from_config with that body."""
    return bound(fake, config("value=None", body)).readings["value"]


def test_the_door_is_called_by_the_name_of_its_parameter(fake: FakeEnvironment) -> None:
    binding = bound(fake, config("bits", "return cls(raw['bits'])", door="cls, raw"))
    assert (binding.via, binding.kwargs, binding.unfilled) == ("from_config", {"raw": "config"}, ())


def test_a_renamed_keyword_is_known_by_the_key_that_fills_it(fake: FakeEnvironment) -> None:
    body = "bits = cls.get_from_keys(config, ['bits'])\ngroups = cls.get_from_keys(config, ['group_size'])\nreturn cls(bits, g=groups)"
    assert bound(fake, config("w_bits, g", body)).keywords == {"w_bits": "bits", "g": "group_size"}


def test_positional_arguments_take_the_names_of_this_release(fake: FakeEnvironment) -> None:
    body = "return cls(config['bits'], config['desc_act'], config['group_size'])"
    keywords = bound(fake, config("weight_bits, inserted, group_size", body)).keywords
    assert keywords == {"weight_bits": "bits", "inserted": "desc_act", "group_size": "group_size"}


@pytest.mark.parametrize("expression, keys, required, default", [
    ("cls.get_from_keys(config, ['w_bit', 'bits'])", ("w_bit", "bits"), True, None),
    ("cls.get_from_keys_or(config, ['lm_head'], default=False)", ("lm_head",), False, "False"),
    ("cls.get_from_keys_or(config, ['lm_head'], 'x')", ("lm_head",), False, "'x'"),
    ("QuantizationConfig.get_from_keys(config=config, keys=['bits'])", ("bits",), True, None),
    ("config['bits']", ("bits",), True, None),
    ("config.get('bits')", ("bits",), False, "None"),
    ("config.get('bits', 4)", ("bits",), False, "4"),
    ("config.pop('bits')", ("bits",), True, None),
    ("config.get('a', config.get('b', 8))", ("a", "b"), False, "8"),
    ("config.get('a') or config.get('b')", ("a", "b"), False, "None"),
    ("config.get('dynamic') or {}", ("dynamic",), False, "{}"),
    ("cast(int, config.get('bits', 4))", ("bits",), False, "4"),
    ("config['bits'] if 'bits' in config else 4", ("bits",), False, "4"),
    ("4 if 'bits' not in config else config['bits']", ("bits",), False, "4"),
])  # fmt: skip
def test_a_key_is_read_with_its_default(
    fake: FakeEnvironment, expression: str, keys: tuple[str, ...], required: bool, default: str | None
) -> None:
    found = reading(fake, f"return cls({expression})")
    assert (found.keys, found.required, found.default, found.exact) == (keys, required, default, True)


@pytest.mark.parametrize("body, keys, default", [
    ("a = config.get('a')\nif not a:\n    a = config.get('b', 8)\nreturn cls(a)", ("a", "b"), "8"),
    ("a = config.get('a')\nif a is None:\n    a = []\nreturn cls(value=a)", ("a",), "[]"),
    ("a = config.get('a', {})\na = {} if a is None else a\nreturn cls(a)", ("a",), "{}"),
    ("a = 4\nif 'a' in config:\n    a = config['a']\nreturn cls(a)", ("a",), "4"),
    ("try:\n    a = config['a']\nexcept KeyError:\n    a = 4\nreturn cls(a)", ("a",), "4"),
    ("if (a := config.get('a')) is None:\n    a = 1\nreturn cls(a)", ("a",), "1"),
    ("made = cls(config.get('a', 4))\nmade.note = 1\nreturn made", ("a",), "4"),
    ("copy = dict(config)\nreturn GPTQConfig(copy.get('a', 4))", ("a",), "4"),
    ("a, b = config.get('a', 4), 1\nreturn cls(a)", ("a",), "4"),
])  # fmt: skip
def test_what_stands_in_for_a_missing_key_is_its_default(
    fake: FakeEnvironment, body: str, keys: tuple[str, ...], default: str
) -> None:
    found = reading(fake, body)
    assert (found.meaning, found.keys, found.default, found.exact) == ("a", keys, default, True)
    assert not found.required


def test_a_computed_argument_is_shown_as_an_expression_of_keys(fake: FakeEnvironment) -> None:
    found = reading(fake, "method = cls.get_from_keys(config, ['quant_method'])\nreturn cls('fp8' in method)")
    assert (found.meaning, found.keys, found.exact) == ("'fp8' in quant_method", ("quant_method",), False)


@pytest.mark.parametrize("body", [
    "a = config.get('a')\nif config['b']:\n    a = 32\nreturn cls(a)",
    "a = config.get('a')\nif a:\n    b = []\n    for each in a:\n        b.append(each + 'x')\n    a = b\nreturn cls(a)",
    "a = config.get('a')\na += 1\nreturn cls(a)",
    "return cls(int(config.get('a')))",
])  # fmt: skip
def test_a_value_that_is_changed_on_the_way_is_not_called_exact(fake: FakeEnvironment, body: str) -> None:
    found = reading(fake, body)
    assert (found.meaning, found.keys[0], found.default, found.exact) == ("a", "a", "None", False)


def test_a_key_that_only_one_branch_wants_is_not_required(fake: FakeEnvironment) -> None:
    found = reading(fake, "a = 1\nif config['b']:\n    a = config['a']\nreturn cls(a)")
    assert (found.keys, found.required) == (("a",), False)


def test_the_whole_config_is_called_config(fake: FakeEnvironment) -> None:
    plain = reading(fake, "return cls(config)")
    assert (plain.meaning, plain.exact) == ("config", True)


def test_a_config_changed_before_it_is_handed_on_is_not_exact(fake: FakeEnvironment) -> None:
    changed = reading(fake, "full = config.copy()\nfull['quant_method'] = 'awq'\nreturn cls(full)")
    assert (changed.meaning, changed.exact) == ("config", False)


def test_a_config_spread_over_the_constructor_fills_each_name_with_its_key(fake: FakeEnvironment) -> None:
    found = bound(fake, config("bits, group_size=128", "return cls(**config)")).readings
    assert [(name, each.meaning, each.required, each.default) for name, each in found.items()] == [
        ("bits", "bits", True, None),
        ("group_size", "group_size", False, "128"),
    ]


def test_unknown_keywords_are_left_unknown(fake: FakeEnvironment) -> None:
    binding = bound(fake, config("bits, odd", "return cls(config['bits'], **cls.rest(config))"))
    assert (binding.keywords, binding.unfilled) == ({"bits": "bits"}, ())


def test_a_from_config_that_cannot_be_followed_is_still_the_door(fake: FakeEnvironment) -> None:
    binding = bound(fake, config("bits", "return make(cls, config)"))
    assert (binding.via, binding.kwargs, binding.readings, binding.unfilled) == (
        "from_config", {"config": "config"}, {}, (),
    )  # fmt: skip


def test_two_returns_are_read_together(fake: FakeEnvironment) -> None:
    found = reading(fake, "if config.get('x'):\n    return cls(config.get('a'))\nreturn cls(config.get('b'))")
    assert (found.keys, found.exact) == (("a", "b"), False)


@pytest.mark.parametrize("expression", ["f\"{config['a']}\\n{1}\"", "(" * 60 + "1" + ")" * 60, "-" * 3000 + "1"])
def test_no_expression_is_too_odd_to_be_passed_over(fake: FakeEnvironment, expression: str) -> None:
    binding = bound(fake, config("value=None", f"odd = {expression}\nreturn cls(odd)"))
    assert (binding.via, binding.kwargs) == ("from_config", {"config": "config"})


def test_a_body_that_is_too_long_to_follow_is_still_the_door(fake: FakeEnvironment) -> None:
    nested = "config"
    for _ in range(40):
        nested = f"(({nested} or 1) + 1)"
    binding = bound(fake, config("value=None", f"return cls({nested})"))
    assert (binding.via, binding.kwargs, binding.readings) == ("from_config", {"config": "config"}, {})


def test_an_inherited_door_fills_the_constructor_of_the_subclass(fake: FakeEnvironment) -> None:
    base = config("bits", "return cls(config['bits'])").replace("GPTQConfig", "Base")
    binding = bound(fake, f"{base}class GPTQConfig(Base):\n    def __init__(self, w_bits): ...\n")
    assert binding.keywords == {"w_bits": "bits"}


def test_a_door_that_hands_on_to_its_base_is_read_there(fake: FakeEnvironment) -> None:
    base = config("bits", "return cls(config['bits'])").replace("GPTQConfig", "Base")
    own = config("w_bits", "return super().from_config(config)").replace("(QuantizationConfig)", "(Base)")
    assert bound(fake, base + own).keywords == {"w_bits": "bits"}


def test_an_abstract_door_is_none(fake: FakeEnvironment) -> None:
    source = "class GPTQConfig(QuantizationConfig):\n    def __init__(self, weight_bits, odd): ...\n"
    binding = bound(fake, source)
    assert (binding.via, binding.kwargs, binding.unfilled) == ("constructor", {"weight_bits": "bits"}, ("odd",))
    assert binding.keywords == binding.kwargs


def test_arguments_that_the_door_requires_or_forgets_are_unfilled(fake: FakeEnvironment) -> None:
    body = "return cls(config['bits'])"
    binding = bound(fake, config("bits, forgotten", body, door="cls, config, model, *, device, seed=0"))
    assert binding.unfilled == ("model", "device", "forgotten")


METHOD = "class GPTQLinearMethod(LinearMethodBase):\n    def __init__(self, {}): ...\n"


@pytest.mark.parametrize("parameters, taker, unfilled", [
    ("odd: int, setup: GPTQConfig", "setup", ("odd",)),
    ("setup: 'GPTQConfig', prefix: str = ''", "setup", ()),
    ("odd, setup: 'Optional[GPTQConfig]' = None", "setup", ("odd",)),
    ("odd, setup: Union[str, GPTQConfig]", "setup", ("odd",)),
    ("odd, quant_config", "quant_config", ("odd",)),
    ("odd, quantization_config", "quantization_config", ("odd",)),
    ("anything", "anything", ()),
    ("*, anything: dict, more=1", "anything", ()),
    ("one, two", None, ("one", "two")),
])  # fmt: skip
def test_a_linear_method_takes_its_config_by_what_the_parameter_is(
    fake: FakeEnvironment, parameters: str, taker: str | None, unfilled: tuple[str, ...]
) -> None:
    source = config("bits", "return cls(config['bits'])") + METHOD.format(parameters)
    binding = bound(fake, source, Role.GPTQ_LINEAR_METHOD)
    assert (binding.via, binding.kwargs, binding.unfilled) == (
        "constructor", {taker: "config"} if taker else {}, unfilled,
    )  # fmt: skip


def test_an_inherited_constructor_is_read_where_it_stands(fake: FakeEnvironment) -> None:
    base = (
        "from vllm.model_executor.layers.quantization.fp8 import Fp8Config as Setup\n"
        "class Base:\n    def __init__(self, odd, given: Setup): ...\n"
    )
    source = f"from .shared import Base\n{config('bits', 'return cls(1)')}class GPTQLinearMethod(Base): ...\n"
    binding = bound(fake, source, Role.GPTQ_LINEAR_METHOD, **{f"{QUANT}/shared.py": base})
    assert (binding.kwargs, binding.unfilled) == ({"given": "config"}, ("odd",))


def test_the_document_tells_kwargs_keywords_and_readings(fake: FakeEnvironment) -> None:
    binding = bound(fake, config("w_bits", "return cls(config.get('bits', 4))"))
    assert binding.to_json() == {
        "via": "from_config",
        "kwargs": {"config": "config"},
        "keywords": {"w_bits": "bits"},
        "readings": {"w_bits": {"meaning": "bits", "keys": ["bits"], "required": False, "default": "4", "exact": True}},
        "asked": ["bits"],
        "unfilled": [],
    }
    assert Binding.from_json(binding.to_json()) == binding


def test_a_required_argument_that_nothing_fills_is_a_finding(fake: FakeEnvironment) -> None:
    source = config("bits", "return cls(config['bits'])") + METHOD.format("quant_config: GPTQConfig, moe: int")
    fake.install("vllm", files={**VLLM, f"{QUANT}/gptq.py": HEAD + source})
    (found,) = find_check("MP301").find(fake.patient())
    assert (found.severity, found.engine) == (Severity.WARNING, "vllm")
    assert found.summary == "gptq.linear_method: nothing to give for moe"
    signature = "vllm.model_executor.layers.quantization.gptq.GPTQLinearMethod(quant_config: GPTQConfig, moe: int)"
    assert found.evidence == (signature, "known: quant_config takes config")


def test_arguments_that_are_filled_or_optional_are_no_finding(fake: FakeEnvironment) -> None:
    source = config("bits, more=None", "return cls(config['bits'])") + METHOD.format("quant_config, prefix=''")
    fake.install("vllm", files={**VLLM, f"{QUANT}/gptq.py": HEAD + source})
    assert list(find_check("MP301").find(fake.patient())) == []
