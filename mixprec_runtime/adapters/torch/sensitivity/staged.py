"""A model that is run layer by layer: from any layer on, with the inputs that the layers before it once gave."""

from __future__ import annotations

__all__ = ["Reading", "StagedModel", "UnknownStack"]

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import Linear, Module, ModuleList, Parameter

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.adapters.torch.sensitivity.divergence import Foreseen, divergence, likely
from mixprec_runtime.adapters.torch.sensitivity.weights import Weights
from mixprec_runtime.records.mix import BASE_SOURCE

_IN_LAYER = re.compile(r"^(.+?)\.(\d+)\.")
LIKELY = 2048  # tokens of the vocabulary that stand for all, where many choices are compared
TOGETHER = 256  # tokens that go through a layer at once: more do not stay in the caches of a CPU
Swap = tuple[str, tuple[str, ...]]
"""A source and the modules that come from it."""


class UnknownStack(MixprecError):
    """A model whose decoder layers do not stand in one list."""

    def __init__(self, found: tuple[str, ...]) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"wanted decoder layers in one list, found {', '.join(self.found) or 'none'}\n"
            "  try: --sensitivity error, which runs no model"
        )


@dataclass(kw_only=True)
class Reading:
    """A text that the base has read: what each layer was given, and what the base foresees."""

    ids: torch.Tensor  # [windows, length]
    inputs: list[torch.Tensor] = field(
        default_factory=list
    )  # of each layer, [windows, length, hidden]; the last's output
    others: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)  # masks, positions
    foreseen: list[Foreseen] = field(default_factory=list)  # by window
    likely: list[torch.Tensor] = field(default_factory=list)  # tokens by window
    heads: list[torch.Tensor] = field(default_factory=list)  # rows of the output head for these
    covered: float = 0.0  # the share of the probability that likely tokens have
    nats: float = 0.0  # mean negative log-probability of a token


class _Stub(Module):
    """Stands for all layers: it gives what they gave before."""

    def __init__(self, layer: Module, hidden: torch.Tensor) -> None:
        super().__init__()
        for name, value in vars(layer).items():  # models look at their layers' attributes
            if not name.startswith("_") and name != "training":
                setattr(self, name, value)
        self.hidden = hidden

    def forward(self, *_: object, **__: object) -> torch.Tensor:
        """The hidden state that it was made with."""
        return self.hidden


class StagedModel:
    """The base model; as many layers as ``most_bytes`` allow stay, the others are read anew when their turn comes."""

    def __init__(self, weights: Weights, *, most_bytes: int) -> None:
        self.weights = weights
        self.model = weights.model
        self._by_layer, self._path = self._sorted()
        self._owner = self.model.get_submodule(self._path.rpartition(".")[0])
        self._leaf = self._path.rpartition(".")[2]
        self.stack: ModuleList = getattr(self._owner, self._leaf)
        self._stays: set[int] = set()
        self._here: set[int] = set()
        left = most_bytes
        for at, modules in self._by_layer.items():
            left -= weights.bytes_of(modules)
            if left >= 0:
                self._stays.add(at)
        inside = {module for modules in self._by_layer.values() for module in modules}
        weights.put(weights.read(BASE_SOURCE, [each for each in weights.modules if each not in inside]))
        self.model.tie_weights()

    @property
    def depth(self) -> int:
        """How many decoder layers there are."""
        return len(self.stack)

    @property
    def whole(self) -> bool:
        """Whether all layers stay in memory."""
        return len(self._stays) == self.depth

    def read(self, ids: torch.Tensor) -> Reading:
        """Let the base read windows of tokens."""
        reading = Reading(ids=ids)
        handles = []
        for at, layer in enumerate(self.stack):
            handles.append(layer.register_forward_pre_hook(self._before(at, reading), with_kwargs=True))
            handles.append(layer.register_forward_hook(lambda *_, at=at: self._leave(at)))
        try:
            with torch.no_grad():
                hidden: list[torch.Tensor] = []
                last = self.stack[-1].register_forward_hook(lambda _m, _i, out: hidden.append(_hidden(out)))
                handles.append(last)
                self._owner(input_ids=ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        reading.inputs.append(hidden[0])
        for window, logits in self._tail(reading, hidden[0]):
            foreseen = Foreseen.of(logits)
            tokens = likely(foreseen, LIKELY)
            reading.foreseen.append(foreseen)
            reading.likely.append(tokens)
            reading.covered += float(foreseen.probabilities[:, tokens].sum(-1).mean()) / len(ids)
            reading.nats += _lost(logits, ids[window]) / len(ids)
        return reading

    def change(self, reading: Reading, at: int, swaps: Sequence[Swap]) -> tuple[torch.Tensor, float]:
        """What layer ``at`` gives with modules of other sources, and how far that is from what it gave.

        The distance is the mean over positions of ``|h' - h|^2 / |h|^2``.
        """
        with torch.no_grad():
            now = self._swapped(reading, at, reading.inputs[at], swaps)
            was = reading.inputs[at + 1]
            away = (now - was).square().sum(-1) / was.square().sum(-1).clamp(min=1e-30)
        return now, float(away.mean())

    def go_on(self, reading: Reading, at: int, hidden: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
        """Layer after layer, what each of several outputs of layer ``at`` becomes; the last are the model's."""
        states = list(hidden)
        yield states
        for layer in range(at + 1, self.depth):
            self._enter(layer)
            with torch.no_grad():
                states = self._all(reading, layer, states)
            self._leave(layer)
            yield states

    def mixture(self, reading: Reading, swaps: Mapping[int | None, Sequence[Swap]]) -> tuple[float, float]:
        """Divergence and negative log-probability of a whole choice, in nats a token."""
        hidden = reading.inputs[0]
        for at in range(self.depth):
            hidden = self._swapped(reading, at, hidden, swaps.get(at, ()))
        return self.judge(reading, hidden, swaps.get(None, ()))

    def judge(self, reading: Reading, hidden: torch.Tensor, swaps: Sequence[Swap] = ()) -> tuple[float, float]:
        """Divergence from the base and negative log-probability, in nats a token, of what the last layer gave."""
        apart, nats = 0.0, 0.0
        was = self._swap(swaps)
        for window, logits in self._tail(reading, hidden):
            nats += _lost(logits, reading.ids[window])
            apart += float(divergence(reading.foreseen[window], logits).mean())
        self.weights.put(was)
        return apart / len(reading.ids), nats / len(reading.ids)

    def compare(self, reading: Reading, hidden: torch.Tensor) -> float:
        """Divergence among the likely tokens of each window, in nats a token, of what the last layer gave."""
        head = self.model.get_output_embeddings()
        if not isinstance(head, Linear) or head.out_features <= LIKELY:
            return self.judge(reading, hidden)[0]
        whole, bias = head.weight, head.bias
        reading.heads = reading.heads or [whole[tokens] for tokens in reading.likely]
        apart = 0.0
        try:
            for window, tokens in enumerate(reading.likely):
                head.weight = Parameter(reading.heads[window], requires_grad=False)
                head.bias = None if bias is None else Parameter(bias[tokens], requires_grad=False)
                logits = self._logits(reading, hidden, window)
                of_these = Foreseen.of(reading.foreseen[window].logits[:, tokens])
                apart += float(divergence(of_these, logits).mean())
        finally:
            head.weight, head.bias = whole, bias
        return apart / len(reading.ids)

    def last(self, reading: Reading) -> torch.Tensor:
        """What the base's last layer gave."""
        return reading.inputs[self.depth]

    def _swapped(self, reading: Reading, at: int, hidden: torch.Tensor, swaps: Sequence[Swap]) -> torch.Tensor:
        self._enter(at)
        was = self._swap(swaps)
        with torch.no_grad():
            now = self._run(reading, at, hidden)
        self.weights.put(was)
        self._leave(at)
        return now

    def _swap(self, swaps: Sequence[Swap]) -> dict[str, torch.Tensor]:
        """Put modules of other sources in, and give what was there."""
        was: dict[str, torch.Tensor] = {}
        for source, modules in swaps:
            if source != BASE_SOURCE:
                was |= self.weights.swap(self.weights.read(source, modules))
        return was

    def _run(self, reading: Reading, at: int, hidden: torch.Tensor) -> torch.Tensor:
        given, named = reading.others[at]
        return _hidden(self.stack[at](hidden, *given, **named))

    def _all(self, reading: Reading, at: int, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """A layer's outputs for several inputs, several at once where its masks and positions are the same for all."""
        windows, length = reading.ids.shape
        if windows > 1 and not _is_shared(reading.others[at], windows):
            return [self._run(reading, at, state) for state in states]
        together = max(1, TOGETHER // (windows * length))
        found: list[torch.Tensor] = []
        for first in range(0, len(states), together):
            rows = torch.cat(list(states[first : first + together]))
            found += self._run(reading, at, rows).split(windows)
        return found

    def _tail(self, reading: Reading, hidden: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        for window in range(len(reading.ids)):
            yield window, self._logits(reading, hidden, window)

    def _logits(self, reading: Reading, hidden: torch.Tensor, window: int) -> torch.Tensor:
        """Logits of a window, ``[length, vocab]``: the model's own code with a stub in place of its layers."""
        stub = _Stub(self.stack[0], hidden[window : window + 1])
        setattr(self._owner, self._leaf, ModuleList([stub]))
        try:
            with torch.no_grad():
                logits = self.model(input_ids=reading.ids[window : window + 1], use_cache=False).logits
        finally:
            setattr(self._owner, self._leaf, self.stack)
        return logits[0].to(torch.float32)

    def _before(self, at: int, reading: Reading) -> Any:  # noqa: ANN401
        def keep(_layer: Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._enter(at)
            named = dict(named)
            reading.inputs.append(given[0] if given else named.pop("hidden_states"))
            reading.others.append((given[1:], named))

        return keep

    def _enter(self, at: int) -> None:
        if at not in self._here:
            self.weights.put(self.weights.read(BASE_SOURCE, self._by_layer[at]))
            self._here.add(at)

    def _leave(self, at: int) -> None:
        if at not in self._stays:
            self.weights.let_go(self._by_layer[at])
            self._here.discard(at)

    def _sorted(self) -> tuple[dict[int, list[str]], str]:
        """Modules of the checkpoint by the decoder layer they are in, and where these layers stand in the model."""
        found: dict[str, dict[int, list[str]]] = {}
        for module in self.weights.modules:
            if inside := _IN_LAYER.match(self.weights.place(module)):
                found.setdefault(inside[1], {}).setdefault(int(inside[2]), []).append(module)
        if len(found) != 1:
            raise UnknownStack(tuple(found))
        path, layers = next(iter(found.items()))
        return dict(sorted(layers.items())), path


def _hidden(out: Any) -> torch.Tensor:  # noqa: ANN401
    hidden: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return hidden


def _is_shared(given: object, windows: int) -> bool:
    """Whether no tensor among a layer's other inputs has a row for each window."""
    if isinstance(given, torch.Tensor):
        return given.dim() < 2 or given.shape[0] != windows
    if isinstance(given, dict):
        return all(_is_shared(each, windows) for each in given.values())
    if isinstance(given, tuple | list):
        return all(_is_shared(each, windows) for each in given)
    return given is None or isinstance(given, bool | int | float | str)


def _lost(logits: torch.Tensor, ids: torch.Tensor) -> float:
    """Mean negative log-probability of a window's tokens but the first."""
    return float(torch.nn.functional.cross_entropy(logits[:-1], ids[1:]))
