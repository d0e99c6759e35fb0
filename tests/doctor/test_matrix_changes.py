"""What changed between two releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.records.matrix import Change, ChangeKind, Weight
from mixprec_doctor.records.resolution import Parameter, Resolution, Status
from mixprec_doctor.resolving.changes import compare
from tests.doctor.matrices import found, missing, parameter

NAMES = st.sampled_from(["config", "weight_bits", "bits", "group_size", "prefix", "sym", "desc_act", "quant_config"])
PARAMETERS = st.lists(
    st.builds(
        parameter,
        NAMES,
        st.sampled_from([None, "None", "False"]),
        st.sampled_from([None, "int", "str"]),
        st.sampled_from(["POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"]),
    ),
    unique_by=lambda each: each.name,
    max_size=6,
)
RESOLUTIONS = st.one_of(
    st.just(missing()),
    st.builds(found, st.sampled_from(["A", "B"]), st.sampled_from(["m", "n"]), PARAMETERS),
    st.just(replace(found("A", "m"), condition="is_npu()")),
    st.builds(lambda module: replace(found("A", module), status=Status.PLACEHOLDER), st.sampled_from(["m", "n"])),
)


def key(resolution: Resolution) -> tuple[object, ...]:
    conditional = resolution.condition is not None
    return resolution.status, resolution.module, resolution.name, resolution.parameters, conditional


def kinds(before: Sequence[Parameter], after: Sequence[Parameter]) -> list[str]:
    changes = compare(found(parameters=before), found(parameters=after))
    return [f"{change.kind.value} {change.parameter}" for change in changes]


@given(RESOLUTIONS, RESOLUTIONS)
def test_nothing_changed_exactly_when_status_place_condition_and_parameters_are_the_same(
    before: Resolution, after: Resolution
) -> None:
    assert (compare(before, after) == ()) is (key(before) == key(after))


@given(PARAMETERS, PARAMETERS)
def test_every_parameter_that_came_or_went_is_told_once(before: list[Parameter], after: list[Parameter]) -> None:
    changes = compare(found(parameters=before), found(parameters=after))
    told: dict[ChangeKind, list[Change]] = {}
    for change in changes:
        told.setdefault(change.kind, []).append(change)
    renamed = told.get(ChangeKind.PARAMETER_RENAMED, [])
    came = told.get(ChangeKind.PARAMETER_ADDED, []) + told.get(ChangeKind.PARAMETER_INSERTED, []) + renamed
    went = [each.parameter for each in told.get(ChangeKind.PARAMETER_REMOVED, [])] + [each.before for each in renamed]
    old, new = {each.name for each in before}, {each.name for each in after}
    assert sorted(str(each.parameter) for each in came) == sorted(new - old)
    assert sorted(map(str, went)) == sorted(old - new)


@given(PARAMETERS)
def test_what_was_added_is_what_the_way_back_removes(parameters: list[Parameter]) -> None:
    extra = [*parameters, parameter("enable_something", "False", "bool", "KEYWORD_ONLY")]
    assert kinds(parameters, extra) == ["parameter_added enable_something"]
    assert kinds(extra, parameters) == ["parameter_removed enable_something"]


@given(PARAMETERS, st.randoms())
def test_another_order_names_only_what_moved(parameters: list[Parameter], random: object) -> None:
    shuffled = list(parameters)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    changes = compare(found(parameters=parameters), found(parameters=shuffled))
    assert {change.kind for change in changes} <= {ChangeKind.PARAMETERS_REORDERED}
    assert all(str(change.parameter).count(",") + 1 < len(parameters) for change in changes)


def test_an_argument_put_before_others_shifts_positions() -> None:
    a, b, new = parameter("a"), parameter("b", "None"), parameter("mapping", "None")
    assert kinds([a, b], [a, new, b]) == ["parameter_inserted mapping"]
    assert kinds([a, b], [a, b, new]) == ["parameter_added mapping"]
    last = replace(new, kind="KEYWORD_ONLY")
    assert kinds([a, last], [a, b, last]) == ["parameter_added b"]


def test_a_required_argument_in_the_same_place_was_renamed() -> None:
    assert kinds([parameter("config"), parameter("x")], [parameter("quantization"), parameter("x")]) == [
        "parameter_renamed quantization"
    ]


def test_an_option_was_renamed_when_its_new_name_is_like_the_old() -> None:
    impl, model_impl = parameter("impl", "AUTO", "Impl"), parameter("model_impl", "AUTO", "Impl")
    other = parameter("x", "1")
    assert kinds([impl, other], [other, model_impl])[0] == "parameter_renamed model_impl"
    assert kinds([parameter("fast", "False", "bool")], [parameter("verbose", "False", "bool")]) == [
        "parameter_removed fast",
        "parameter_added verbose",
    ]


def test_required_default_kind_and_annotation_are_told_apart() -> None:
    one = parameter("a", "None", "int")
    assert kinds([one], [parameter("a", annotation="int")]) == ["default_changed a"]
    assert kinds([one], [parameter("a", "0", "int")]) == ["default_changed a"]
    assert kinds([one], [parameter("a", "None", "str")]) == ["annotation_changed a"]
    assert kinds([one], [parameter("a", "None", "int", "KEYWORD_ONLY")]) == ["kind_changed a"]


@pytest.mark.parametrize("before, after, kind", [
    (missing(), found(), ChangeKind.APPEARED),
    (found(), missing(), ChangeKind.DISAPPEARED),
    (found(), replace(found(), status=Status.PLACEHOLDER), ChangeKind.BECAME_PLACEHOLDER),
    (found(module="a"), found(module="b"), ChangeKind.MOVED),
    (found("GPTQConfig"), found("AutoGPTQConfig"), ChangeKind.RENAMED),
    (found(), replace(found(), condition="is_npu()"), ChangeKind.BECAME_CONDITIONAL),
    (replace(found(), condition="is_npu()"), found(), ChangeKind.BECAME_UNCONDITIONAL),
])  # fmt: skip
def test_a_change_of_place_is_one_change(before: Resolution, after: Resolution, kind: ChangeKind) -> None:
    (change,) = compare(before, after)
    assert (change.kind, change.kind.weight) == (kind, Weight.PLACE)


def test_the_text_of_a_condition_is_no_change() -> None:
    before, after = (replace(found(), condition=f"the try on line {line} succeeds") for line in (17, 21))
    assert compare(before, after) == ()


def test_weights_go_from_place_over_call_to_note() -> None:
    assert [ChangeKind.MOVED.weight, ChangeKind.DEFAULT_CHANGED.weight, ChangeKind.ANNOTATION_CHANGED.weight] == list(
        Weight
    )
