"""The embedded engine's server as a client meets it: over a socket, many at once, with odd input, and leaving early."""

from __future__ import annotations

import gc
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")
uvicorn = pytest.importorskip("uvicorn", reason="the embedded engine serves with starlette and uvicorn")
pytest.importorskip("starlette", reason="the embedded engine serves with starlette and uvicorn")

from transformers import DynamicCache  # noqa: E402

import mixprec_runtime.torch  # noqa: E402
from mixprec_runtime.adapters.torch.generation import Generator  # noqa: E402
from mixprec_runtime.adapters.torch.serving.application import Service, application  # noqa: E402
from mixprec_runtime.launching.server import free_port  # noqa: E402
from tests.runtime.adapters.torch.mixtures import FORMATS, write_mixture  # noqa: E402

CONTEXT = 4096
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "{{ message.content }} {% endfor %}w3"
)
BODY_BYTES = 20_000
PROMPTS = ("w5 w9 w33", "w71 w12", "w64 w8 w90 w41", "w17")
Json = dict[str, Any]


@dataclass
class Server:
    """One that listens."""

    port: int
    generator: Generator
    service: Service

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Json]:
        raw = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        answer = self.send(path, raw, **headers)
        text = answer.read()
        return answer.status, json.loads(text) if text else {}

    def send(self, path: str, raw: bytes | None, **headers: str) -> http.client.HTTPResponse:
        connection = self.connect()
        connection.request("GET" if raw is None else "POST", path, body=raw, headers=headers)
        return connection.getresponse()

    def stream(self, path: str, body: Json) -> list[Json]:
        """The events of a stream, which ends as OpenAI's do."""
        lines = self.send(path, json.dumps({**body, "stream": True}).encode()).read().decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]

    def idle(self, seconds: float = 10) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.generator.active == self.generator.waiting == 0:
                return True
            time.sleep(0.02)
        return False


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> mixprec_runtime.torch.Loaded:
    made = write_mixture(
        tmp_path_factory.mktemp("served"), {"int8": FORMATS["int8"]}, max_position_embeddings=CONTEXT,
        num_hidden_layers=1,
    )  # fmt: skip
    found = mixprec_runtime.torch.load(made.run_folder(), progress=False)
    found.tokenizer.chat_template = TEMPLATE
    return found


@pytest.fixture(scope="module")
def server(loaded: mixprec_runtime.torch.Loaded) -> Iterator[Server]:
    with Serving(loaded) as found:
        yield found


class Serving:
    """A server in a thread, which ends with the block."""

    def __init__(
        self,
        loaded: mixprec_runtime.torch.Loaded,
        *,
        running: int = 4,
        max_waiting: int = 8,
        api_key: str | None = None,
    ) -> None:
        generator = Generator(loaded, running=running)
        service = Service(generator, names=("mix", "other"), max_waiting=max_waiting)
        app = application(service, api_key=api_key, max_body_bytes=BODY_BYTES)
        port = free_port(0)
        self.server = Server(port, generator, service)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
        )
        self._thread = threading.Thread(target=self._uvicorn.run)

    def __enter__(self) -> Server:
        self._thread.start()
        until = time.monotonic() + 20
        while not self._uvicorn.started and time.monotonic() < until:
            time.sleep(0.01)
        return self.server

    def __exit__(self, *fault: object) -> None:
        self.server.service.end()
        self._uvicorn.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


def completion(prompt: object, **more: object) -> Json:
    return {"prompt": prompt, "temperature": 0, "max_tokens": 24, **more}


def text(answer: Json) -> str:
    found: str = answer["choices"][0]["text"]
    return found


def test_a_stream_gives_what_the_whole_answer_has(server: Server) -> None:
    _, whole = server.ask("/v1/completions", completion(PROMPTS[0]))
    events = server.stream("/v1/completions", completion(PROMPTS[0], stream_options={"include_usage": True}))
    assert "".join(text(event) for event in events[:-1]) == text(whole)
    assert [event["usage"] for event in events[:-1]] == [None] * (len(events) - 1)
    assert (events[-1]["choices"], events[-1]["usage"]) == ([], whole["usage"])
    assert whole["usage"]["completion_tokens"] > 1
    assert whole["choices"][0]["finish_reason"] == events[-2]["choices"][0]["finish_reason"]
    assert len({event["id"] for event in events}) == 1


def test_concurrent_streams_take_turns_and_each_gives_what_it_gives_alone(server: Server) -> None:
    body = {"max_tokens": 50, "ignore_eos": True}
    alone = [text(server.ask("/v1/completions", completion(prompt, **body))[1]) for prompt in PROMPTS]
    together: list[list[float]] = [[] for _ in PROMPTS]

    def streamed(at: int) -> str:
        answer = server.send("/v1/completions", json.dumps(completion(PROMPTS[at], stream=True, **body)).encode())
        found = ""
        while (line := answer.readline()) and line != b"data: [DONE]\n":
            if line.startswith(b"data: "):
                together[at].append(time.monotonic())
                found += text(json.loads(line[6:]))
        return found

    with ThreadPoolExecutor(len(PROMPTS)) as pool:
        assert list(pool.map(streamed, range(len(PROMPTS)))) == alone
    begun, ended = [times[0] for times in together], [times[-1] for times in together]
    assert max(begun) < min(ended)


def test_a_seed_gives_the_same_answer_in_any_company(server: Server) -> None:
    body = {"max_tokens": 40, "ignore_eos": True, "temperature": 1.0, "seed": 7}
    alone = text(server.ask("/v1/completions", {"prompt": PROMPTS[0], **body})[1])
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(server.ask, "/v1/completions", {"prompt": "w9", **body, "seed": n}) for n in range(3)]
        again = pool.submit(server.ask, "/v1/completions", {"prompt": PROMPTS[0], **body})
        assert text(again.result()[1]) == alone
        assert {text(other.result()[1]) for other in others} != {alone}


def test_a_chat_is_answered_whole_and_in_pieces(server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "w5 w9"}], "temperature": 0, "max_completion_tokens": 8}
    status, whole = server.ask("/v1/chat/completions", {**body, "model": "other"})
    events = server.stream("/v1/chat/completions", body)
    assert (status, whole["object"], whole["model"]) == (200, "chat.completion", "other")
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    told = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert told == whole["choices"][0]["message"]["content"] != ""
    parts = [{"type": "text", "text": "w5 "}, {"type": "text", "text": "w9"}]
    _, same = server.ask("/v1/chat/completions", {**body, "messages": [{"role": "user", "content": parts}]})
    assert same["choices"][0]["message"] == whole["choices"][0]["message"]


def test_an_answer_ends_before_its_stop_string_and_says_so(server: Server) -> None:
    _, free = server.ask("/v1/completions", completion(PROMPTS[0], max_tokens=20, ignore_eos=True))
    word = text(free).split()[5]
    _, stopped = server.ask("/v1/completions", completion(PROMPTS[0], max_tokens=20, ignore_eos=True, stop=[word]))
    assert text(stopped) == text(free)[: text(free).index(word)]
    assert (free["choices"][0]["finish_reason"], stopped["choices"][0]["finish_reason"]) == ("length", "stop")
    assert stopped["usage"]["completion_tokens"] < free["usage"]["completion_tokens"] == 20


def test_several_prompts_have_an_answer_each_and_echo_repeats_them(server: Server) -> None:
    singly = [text(server.ask("/v1/completions", completion(prompt))[1]) for prompt in PROMPTS]
    _, several = server.ask("/v1/completions", completion(list(PROMPTS), echo=True))
    assert [choice["text"] for choice in several["choices"]] == [
        prompt + answer for prompt, answer in zip(PROMPTS, singly, strict=True)
    ]
    events = server.stream("/v1/completions", completion(list(PROMPTS)))
    told = [""] * len(PROMPTS)
    for event in events:
        told[event["choices"][0]["index"]] += text(event)
    assert told == singly
    _, numbers = server.ask("/v1/completions", completion([5, 9, 33]))
    assert text(numbers) == singly[0]


def test_names_of_models_are_told_and_others_are_not_found(server: Server) -> None:
    _, found = server.ask("/v1/models")
    assert [(card["id"], card["max_model_len"]) for card in found["data"]] == [("mix", CONTEXT), ("other", CONTEXT)]
    assert server.ask("/v1/models/other")[1]["id"] == "other"
    status, refused = server.ask("/v1/models/third")
    assert (status, refused["error"]["code"]) == (404, "model_not_found")
    assert server.ask("/health")[0] == 200


ODD = {
    "no JSON": (b"prompt=w5", 400, None),
    "no object": (b"[1]", 400, None),
    "nothing": (b"", 400, None),
    "deep": (b"[" * 9000, 400, None),
    "not UTF-8": (b'{"prompt": "\xff"}', 400, None),
    "half a character": (b'{"prompt": "\\ud800"}', 400, None),
    "no prompt": ({}, 400, "prompt"),
    "an empty prompt": (completion(""), 400, None),
    "no prompts": (completion([]), 400, "prompt"),
    "too many prompts": (completion(["w5"] * 17), 400, "prompt"),
    "a prompt of two kinds": (completion(["w5", 5]), 400, "prompt"),
    "a token that is none": (completion([5, 96]), 400, "prompt"),
    "a token below none": (completion([-1]), 400, "prompt"),
    "a word for a number": (completion("w5", temperature="hot"), 400, "temperature"),
    "no number": (b'{"prompt": "w5", "temperature": NaN}', 400, "temperature"),
    "too hot": (completion("w5", temperature=3), 400, "temperature"),
    "nothing to choose from": (completion("w5", top_p=0), 400, "top_p"),
    "no tokens": (completion("w5", max_tokens=0), 400, "max_tokens"),
    "half a token": (completion("w5", max_tokens=1.5), 400, "max_tokens"),
    "too many tokens": (completion("w5", max_tokens=CONTEXT), 400, "max_tokens"),
    "a prompt that fills the context": (completion([5] * CONTEXT), 400, "prompt"),
    "a huge number": (b'{"prompt": "w5", "seed": ' + b"9" * 5000 + b"}", 400, None),
    "an empty stop string": (completion("w5", stop=[""]), 400, "stop"),
    "too many stop strings": (completion("w5", stop=["a"] * 17), 400, "stop"),
    "a field with a slip": (completion("w5", max_toknes=5), 400, "max_toknes"),
    "options of a stream that is none": (completion("w5", stream_options={}), 400, "stream_options"),
    "another model": (completion("w5", model="third"), 404, "model"),
    "several answers": (completion("w5", n=2), 422, "n"),
    "probabilities": (completion("w5", logprobs=1), 422, "logprobs"),
    "an end to meet": (completion("w5", suffix="w9"), 422, "suffix"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_input_is_refused_with_its_field_in_the_form_of_openai(server: Server, case: str) -> None:
    body, status, field = ODD[case]
    found, answer = server.ask("/v1/completions", body)
    assert (found, answer["error"]["param"]) == (status, field), answer
    assert answer["error"]["type"] == "invalid_request_error"
    assert server.idle()


ODD_CHATS = {
    "no turns": ([], 400, "messages"),
    "a turn without a text": ([{"role": "user"}], 400, "messages.0.content"),
    "a number": ([{"role": "user", "content": 5}], 400, "messages.0.content"),
    "a picture": ([{"role": "user", "content": [{"type": "image_url"}]}], 422, "messages.0.content"),
    "a call": ([{"role": "assistant", "content": "", "tool_calls": [{}]}], 422, "messages.0.tool_calls"),
    "a turn that the template refuses": ([{"role": "tool", "content": "w5"}], 400, "messages"),
}


@pytest.mark.parametrize("case", ODD_CHATS)
def test_odd_conversations_are_refused_with_the_turn_that_is_odd(server: Server, case: str) -> None:
    messages, status, field = ODD_CHATS[case]
    found, answer = server.ask("/v1/chat/completions", {"messages": messages})
    assert (found, answer["error"]["param"]) == (status, field), answer


def test_fields_that_change_nothing_are_taken(server: Server) -> None:
    more = {"n": 1, "logprobs": None, "presence_penalty": 0, "frequency_penalty": 0.0, "user": "me", "stop": None}
    assert server.ask("/v1/completions", completion("w5", **more))[0] == 200


def test_other_ways_and_paths_are_refused_in_the_same_form(server: Server) -> None:
    for path, body, status in (("/v1/completions", None, 405), ("/v1/models", b"{}", 405), ("/v2", None, 404)):
        found, answer = server.ask(path, body)
        assert (found, set(answer["error"])) == (status, {"message", "type", "param", "code"})


def test_a_body_that_is_too_large_is_refused_announced_or_not(server: Server) -> None:
    large = json.dumps(completion("w5 " * BODY_BYTES)).encode()
    assert server.ask("/v1/completions", large)[0] == 413
    connection = server.connect()
    parts = (large[at : at + 1000] for at in range(0, BODY_BYTES + 2000, 1000))
    connection.request("POST", "/v1/completions", body=parts, encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "body_too_large")


def caches() -> int:
    gc.collect()
    return sum(isinstance(each, DynamicCache) for each in gc.get_objects())


@pytest.mark.parametrize("stream", [True, False], ids=["a stream", "a whole answer"])
def test_a_client_that_leaves_ends_its_request_and_its_memory_is_free(server: Server, stream: bool) -> None:
    assert server.idle()
    before = caches()
    connection = server.connect()
    body = completion("w5", max_tokens=CONTEXT - 10, ignore_eos=True, stream=stream)
    connection.request("POST", "/v1/completions", body=json.dumps(body))
    if stream:
        connection.getresponse().readline()
    until = time.monotonic() + 10
    while caches() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert (server.generator.active, caches()) == (1, before + 1)
    assert connection.sock is None or connection.sock.fileno() >= 0
    connection.sock.shutdown(2)
    connection.close()
    assert server.idle(5)
    assert caches() == before


def test_more_requests_than_may_wait_are_told_to_come_later(loaded: mixprec_runtime.torch.Loaded) -> None:
    long = json.dumps(completion("w5", max_tokens=CONTEXT - 10, ignore_eos=True, stream=True)).encode()
    with Serving(loaded, running=1, max_waiting=1) as server:
        held = [server.send("/v1/completions", long)]
        held[0].readline()
        held.append(server.send("/v1/completions", long))
        answer = server.send("/v1/completions", long)
        assert (answer.status, answer.getheader("Retry-After")) == (503, "5")
        assert json.loads(answer.read())["error"]["code"] == "too_many_requests"


def test_a_server_that_ends_ends_its_streams_with_a_word(loaded: mixprec_runtime.torch.Loaded) -> None:
    long = json.dumps(completion("w5", max_tokens=CONTEXT - 10, ignore_eos=True, stream=True)).encode()
    with Serving(loaded) as server:
        answer = server.send("/v1/completions", long)
        answer.readline()
        server.service.end()
        last = answer.read().decode().split("\n\n")[-2].strip()
        assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the server is ending"
        assert server.send("/health", None).status == 503
        assert server.ask("/v1/completions", completion("w5"))[0] == 503


def test_without_the_key_nobody_is_answered(loaded: mixprec_runtime.torch.Loaded) -> None:
    with Serving(loaded, api_key="secret") as server:
        for headers in ({}, {"Authorization": "Bearer secre"}, {"Authorization": "secret"}):
            status, answer = server.ask("/v1/completions", completion("w5"), **headers)
            assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
        assert server.ask("/v1/models")[0] == 401
        assert server.ask("/v1/completions", completion("w5"), Authorization="Bearer secret")[0] == 200
        assert server.ask("/health")[0] == 200


def test_pages_of_other_sites_are_not_answered(server: Server) -> None:
    asked = {"Content-Type": "text/plain", "Origin": "https://example.org"}
    status, answer = server.ask("/v1/completions", completion("w5"), **asked, **{"Sec-Fetch-Site": "cross-site"})
    assert (status, answer["error"]["code"]) == (403, "cross_site")
    assert server.ask("/v1/completions", completion("w5"), **{"Sec-Fetch-Site": "none"})[0] == 200


def test_a_model_that_fails_is_told_in_the_answer_and_in_the_stream(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **more: object) -> None:
        raise RuntimeError("out of memory at 0x1234")

    monkeypatch.setattr(server.generator.loaded.model, "generate", fail)
    status, answer = server.ask("/v1/completions", completion("w5"))
    assert (status, answer["error"]["message"]) == (500, "the model failed: RuntimeError")
    streamed = server.send("/v1/completions", json.dumps(completion("w5", stream=True)).encode()).read()
    assert json.loads(streamed.decode().split("\n\n")[0].removeprefix("data: "))["error"]["type"] == "server_error"
