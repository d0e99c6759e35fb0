"""Answers come piece by piece, take turns, end when they should, and are the same in any company."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")

import mixprec_runtime.torch  # noqa: E402
from mixprec_runtime.adapters.torch.generation import Generator, Usage  # noqa: E402
from mixprec_runtime.adapters.torch.opening import Loaded  # noqa: E402
from mixprec_runtime.adapters.torch.sampling import (  # noqa: E402
    BadPrompt,
    BadSampling,
    NoChatTemplate,
    Sampling,
    TooLong,
)
from mixprec_runtime.adapters.torch.wording import Wording  # noqa: E402
from tests.runtime.adapters.torch.mixtures import write_mixture  # noqa: E402

PROMPT = (5, 9, 33, 71)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return mixprec_runtime.torch.load(write_mixture(tmp_path_factory.mktemp("mixture")).file, progress=False)


@pytest.fixture
def generator(loaded: Loaded) -> Iterator[Generator]:
    with Generator(loaded, running=3) as made:
        yield made


def greedy(tokens: int = 12, **more: object) -> Sampling:
    return Sampling(max_tokens=tokens, temperature=0, ignore_eos=True, **more)  # type: ignore[arg-type]


def test_pieces_make_up_what_transformers_itself_answers(generator: Generator, loaded: Loaded) -> None:
    run = generator.start(PROMPT, greedy())
    pieces = list(run)
    whole = loaded.model.generate(
        torch.tensor([PROMPT]), max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0
    )[0, len(PROMPT) :]
    assert tuple(token for piece in pieces for token in piece.tokens) == tuple(whole.tolist())
    assert "".join(piece.text for piece in pieces) == loaded.tokenizer.decode(whole, skip_special_tokens=True)
    assert len(pieces) == 12
    assert (run.finish, run.usage, run.fault) == ("length", Usage(prompt=4, completion=12), None)


def test_an_answer_is_the_same_in_any_company(generator: Generator) -> None:
    wanted = Sampling(max_tokens=16, temperature=1.5, seed=7, ignore_eos=True)
    alone = generator.start(PROMPT, wanted).text()
    company = [generator.start((8, 3), Sampling(max_tokens=20, seed=number)) for number in range(2)]
    among = generator.start(PROMPT, wanted).text()
    other = generator.start(PROMPT, Sampling(max_tokens=16, temperature=1.5, seed=8, ignore_eos=True)).text()
    assert [run.wait(60) for run in company] == [True, True]
    assert alone == among != other


def test_answers_take_turns_token_by_token(generator: Generator) -> None:
    order: list[int] = []
    runs = [generator.start(PROMPT, greedy(30)) for _ in range(2)]
    for number, run in enumerate(runs):
        run.listen(lambda piece, number=number: order.append(number) if piece else None)
    assert all(run.wait(60) for run in runs)
    changes = sum(one != other for one, other in pairwise(order))
    assert changes > 20


def test_more_requests_than_may_run_wait_in_line_and_all_are_answered(generator: Generator) -> None:
    runs = [generator.start(PROMPT, greedy(10)) for _ in range(9)]
    assert generator.active + generator.waiting >= 1
    assert len({run.text() for run in runs}) == 1
    assert (generator.active, generator.waiting) == (0, 0)


def test_a_cancelled_answer_ends_and_lets_go_of_its_memory(generator: Generator) -> None:
    run = generator.start(PROMPT, greedy(120))
    for _ in run:
        run.cancel()
    assert run.finish == "cancelled"
    assert run.usage.completion < 20
    assert generator.active == 0


def test_one_that_is_cancelled_in_line_never_begins(generator: Generator) -> None:
    busy = [generator.start(PROMPT, greedy(60)) for _ in range(3)]
    run = generator.start(PROMPT, greedy(60))
    run.cancel()
    assert run.text() == ""
    assert (run.finish, run.usage.completion) == ("cancelled", 0)
    assert all(other.wait(60) for other in busy)


def test_it_ends_before_a_stop_string_and_says_nothing_of_it(generator: Generator) -> None:
    whole = generator.start(PROMPT, greedy()).text()
    words = whole.split()
    run = generator.start(PROMPT, greedy(stop=(f"{words[3]} {words[4]}",)))
    assert run.text() == whole[: whole.index(f"{words[3]} {words[4]}")]
    assert run.finish == "stop"


def test_an_end_token_ends_it(loaded: Loaded) -> None:
    with Generator(loaded) as first:
        tokens = [token for piece in first.start(PROMPT, greedy()) for token in piece.tokens]
    before = loaded.model.generation_config.eos_token_id
    loaded.model.generation_config.eos_token_id = [tokens[5]]
    try:
        with Generator(loaded) as second:
            run = second.start(PROMPT, Sampling(max_tokens=12, temperature=0))
            assert run.wait(60)
    finally:
        loaded.model.generation_config.eos_token_id = before
    assert (run.finish, run.usage.completion) == ("stop", tokens.index(tokens[5]) + 1)


def test_an_answer_ends_where_the_context_does(generator: Generator) -> None:
    run = generator.start(PROMPT, Sampling(temperature=0, ignore_eos=True))
    assert run.wait(120)
    assert run.usage.prompt + run.usage.completion == generator.loaded.context == 128


def test_what_the_model_raises_is_raised_where_the_answer_is_read(generator: Generator) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no memory left")

    handle = generator.loaded.model.register_forward_pre_hook(broken)
    run = generator.start(PROMPT, greedy())
    try:
        with pytest.raises(RuntimeError, match="no memory left"):
            run.text()
    finally:
        handle.remove()
    assert isinstance(run.fault, RuntimeError)
    assert generator.start(PROMPT, greedy()).text()


def test_prompts_that_nothing_can_follow_are_refused(generator: Generator) -> None:
    with pytest.raises(BadPrompt, match="empty"):
        generator.start(())
    with pytest.raises(BadPrompt, match="token 96"):
        generator.start((1, 96))
    with pytest.raises(TooLong, match="128 tokens"):
        generator.start((1,) * 128)
    with pytest.raises(NoChatTemplate):
        generator.chat_tokens([{"role": "user", "content": "hello"}])


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", 0), ("temperature", -1), ("temperature", float("nan")), ("top_p", 0), ("top_k", -1), ("min_p", 2),
     ("repetition_penalty", 0), ("seed", 1 << 63), ("stop", ("",))],
)  # fmt: skip
def test_sampling_that_makes_no_sense_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(BadSampling) as refused:
        Sampling(**{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


class Bytes:
    """A tokenizer whose tokens are bytes of UTF-8, as the worst case of a real one."""

    def decode(self, tokens: list[int], **_: object) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")


def test_half_a_character_is_held_back_until_it_is_whole() -> None:
    wording = Wording(Bytes())
    told = [wording.add(byte) for byte in "a\N{SNOWMAN}\N{GRINNING FACE}b".encode()]
    assert [text for text in told if text] == ["a", "\N{SNOWMAN}", "\N{GRINNING FACE}", "b"]
    assert wording.rest() == ""


def test_what_might_begin_a_stop_string_is_held_back() -> None:
    wording = Wording(Bytes(), ("\n\nUser",))
    assert [wording.add(byte) for byte in b"x\n\nUp"] == ["x", "", "", "", "\n\nUp"]
    assert "".join(wording.add(byte) for byte in b"\n\nUser") == ""
    assert wording.stopped
    assert wording.rest() == ""


def test_what_is_held_back_at_the_end_is_told_then() -> None:
    wording = Wording(Bytes(), ("END",))
    assert "".join(wording.add(byte) for byte in b"the EN") + wording.rest() == "the EN"


def test_closing_ends_what_is_under_way(loaded: Loaded) -> None:
    generator = Generator(loaded, running=1)
    runs = [generator.start(PROMPT, greedy(120)) for _ in range(3)]
    generator.close()
    assert [run.finish for run in runs] == ["cancelled"] * 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mixprec-answer")]
