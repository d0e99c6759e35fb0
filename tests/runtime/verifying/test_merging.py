"""What was read and what was proved become one choice: a proof decides, and both are kept."""

from __future__ import annotations

from dataclasses import replace

from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Timing
from mixprec_runtime.verifying.hearing import Heard
from mixprec_runtime.verifying.merging import merge
from tests.runtime.verifying.builders import layer, proof, read

NATIVE, PORTABLE, PLACEHOLDER = Tier.NATIVE, Tier.PORTABLE, Tier.PLACEHOLDER


def merged(heard: Heard, *verdicts: tuple[str, Tier, bool | None]) -> KernelChoice:
    asked = layer()
    return merge(asked, heard, engine="vllm", dtype="bfloat16", read=read(asked, *verdicts) if verdicts else None)


def winner_of(choice: KernelChoice) -> str:
    assert choice.winner is not None
    return choice.winner.candidate


def test_a_failed_proof_overrides_what_was_read() -> None:
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, proof("A", "crashed")), (NATIVE, proof("B"))])
    found = merged(heard, ("A", NATIVE, True), ("B", NATIVE, None), ("C", NATIVE, True))
    assert [(each.candidate, each.accepted) for each in found.verdicts[:2]] == [("A", False), ("B", True)]
    assert (winner_of(found), found.passed_over) == ("B", ("A",))


def test_a_kernel_that_was_read_as_impossible_and_worked_is_accepted() -> None:
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, proof("A"))])
    found = merged(heard, ("A", NATIVE, False))
    assert winner_of(found) == "A"
    assert found.verdicts[0].proof is not None


def test_the_engines_order_is_kept() -> None:
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, proof("B"))])
    found = merged(heard, ("A", NATIVE, False), ("B", NATIVE, True), ("C", NATIVE, False), ("P", PORTABLE, True))
    assert [each.candidate for each in found.verdicts] == ["A", "B", "C", "P", "placeholder"]


def test_a_native_kernel_that_the_engine_did_not_find_is_none_once_a_portable_one_was_needed() -> None:
    heard = Heard(
        number=0, finished=True, none_left="Failed to find a kernel",
        proofs=[(NATIVE, proof("A", "wrong")), (PORTABLE, proof("P"))],
    )  # fmt: skip
    found = merged(heard, ("A", NATIVE, True), ("B", NATIVE, True), ("P", PORTABLE, True))
    assert winner_of(found) == "P"
    assert [each.reasons for each in found.verdicts if each.candidate == "B"] == [("Failed to find a kernel",)]


def test_where_all_failed_the_placeholder_is_left() -> None:
    heard = Heard(
        number=0, finished=True, refused={"Q": "is for another GPU"},
        proofs=[(NATIVE, proof("A", "wrong")), (PORTABLE, proof("P", "crashed"))],
    )  # fmt: skip
    found = merged(heard)
    assert [(each.candidate, each.accepted) for each in found.verdicts] == [
        ("A", False), ("P", False), ("Q", False), ("placeholder", True),
    ]  # fmt: skip
    assert found.winner is not None
    assert found.winner.tier is PLACEHOLDER


def test_a_layer_that_was_never_reached_stays_as_it_was_read() -> None:
    found = merged(Heard(number=0), ("A", NATIVE, True))
    assert winner_of(found) == "A"
    assert found.verdicts[0].proof is None


def test_a_layer_that_nobody_read_or_tried_is_undecided() -> None:
    found = merged(Heard(number=0))
    assert found.winner is not None
    assert (found.winner.tier, found.winner.accepted) == (NATIVE, None)
    assert "time was used up" in found.winner.reasons[0]


def test_a_choice_that_crashed_is_a_verdict_without_a_name() -> None:
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, proof("", "ended the process with SIGSEGV"))])
    found = merged(heard)
    assert found.verdicts[0].candidate == "the engine's own choice"
    assert found.verdicts[0].reasons == ("ended the process with SIGSEGV",)


def test_the_choice_goes_through_json() -> None:
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, proof("A", "crashed")), (PORTABLE, proof("P"))])
    found = merged(heard)
    assert KernelChoice.from_json(found.to_json()) == found


def timed(kernel: str, one: float, many: float) -> Proof:
    """A kernel that works; 16 bits take 1 ms for one row and 100 ms for many."""
    timings = (
        Timing(rows=1, seconds=one, plain_seconds=0.001),
        Timing(rows=256, seconds=many, plain_seconds=0.1),
    )
    return replace(proof(kernel), timings=timings)


def test_a_kernel_that_is_slower_than_16_bits_by_far_gives_way_to_a_portable_one_of_less_than_half_its_time() -> None:
    slow, quick = timed("A", 0.022, 0.05), timed("P", 0.0035, 0.11)
    heard = Heard(number=0, finished=True, proofs=[(NATIVE, slow), (PORTABLE, quick)])
    found = merged(heard, ("A", NATIVE, True), ("P", PORTABLE, True))
    assert winner_of(found) == "P"
    assert found.verdicts[0].reasons == ("works, and takes 22 times as long as 16 bits at 1 row; P takes 3.5 times",)
    assert found.passed_over == ()
    assert KernelChoice.from_json(found.to_json()) == found


def test_it_stays_where_the_portable_one_is_not_twice_as_quick_for_a_whole_request() -> None:
    slow = timed("A", 0.005, 0.05)
    for one, many in ((0.003, 0.1), (0.002, 3.0)):
        heard = Heard(number=0, finished=True, proofs=[(NATIVE, slow), (PORTABLE, timed("P", one, many))])
        assert winner_of(merged(heard)) == "A"


def test_only_a_slow_kernel_is_worth_a_second_trial() -> None:
    assert timed("A", 0.0041, 0.1).slow
    assert not timed("A", 0.004, 9.9).slow
    assert not proof("A").slow and proof("A").request_seconds is None
