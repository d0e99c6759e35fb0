"""Trials: for each layer the candidates in turn, until one gives right numbers; the same for every engine.

Each step is told before it is taken, so that a crash is known to belong to it: whoever hears this asks again in another
process without the candidate that crashed.
"""

from __future__ import annotations

__all__ = ["Bench", "NoKernel", "Tried", "run_trials"]

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from mixprec_doctor.records.kernel import Proof, Tier, Timing
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.judging import example, judge, rows_for, seconds_of, words_of
from mixprec_runtime.adapters.layers import TrialLayer, read_layer

logger = logging.getLogger("mixprec.trials")

Answer = dict[str, Any]


class NoKernel(Exception):
    """The engine finds no further kernel for a layer; why not is its text."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A layer that an engine made: how to run it, what it is served with, and what it holds."""

    run: Callable[[torch.Tensor], torch.Tensor]
    finish: Callable[[], None]  # the engine's repacking, after which ``run`` may be called
    kernel: Callable[[], str | None]  # the class of the engine's kernel, where it shows
    method: Callable[[], str]
    held_bytes: Callable[[], int]


class Bench(Protocol):
    """What an engine's adapter offers to trials."""

    device: torch.device
    dtype: torch.dtype

    def native(self, layer: TrialLayer, without: Sequence[str]) -> Tried:
        """A loaded layer with the engine's own choice among all kernels but some. Raises NoKernel."""

    def portable(self, layer: TrialLayer, kernel: str) -> Tried:
        """A loaded layer with a portable kernel behind the engine's interface."""

    def refusals(self, layer: TrialLayer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The portable kernels best first, each with why it cannot serve the layer here."""

    def plain(self, shape: LinearShape) -> Tried:
        """A layer of that shape in 16 bits."""


def run_trials(layers: Sequence[Mapping[str, Any]], bench: Bench) -> Iterator[Answer]:
    """Answers for the layers as ``mixprec_runtime.verifying`` asks for them.

    A layer's ``tier`` is the one to begin with, its ``without`` are the kernels that are known to fail, in any tier.
    """
    plain = _Plain(bench)
    for raw in layers:
        number = raw["number"]
        try:
            layer = read_layer(raw, bench.dtype, bench.device)
        except Exception as fault:  # noqa: BLE001  a file that cannot be read is the answer
            yield {"layer": number, "stage": "unreadable", "fault": words_of(fault)}
            continue
        for answer in _candidates(layer, bench, Tier(raw["tier"]), list(raw["without"]), plain):
            yield {"layer": number, **answer}
        yield {"layer": number, "stage": "end"}


def _candidates(layer: TrialLayer, bench: Bench, tier: Tier, without: list[str], plain: _Plain) -> Iterator[Answer]:
    if tier is Tier.NATIVE:
        worked = yield from _native(layer, bench, without, plain)
        if worked is not None and not worked.slow:
            return
    for kernel, reasons in bench.refusals(layer):
        if kernel in without:
            continue
        if reasons:
            yield {"stage": "refused", "tier": "portable", "kernel": kernel, "fault": "; ".join(reasons)}
            continue
        yield {"stage": "begin", "tier": "portable", "kernel": kernel}
        proof = _prove(lambda kernel=kernel: bench.portable(layer, kernel), layer, bench, plain, kernel)  # type: ignore[misc]
        yield {"stage": "proof", "tier": "portable", "proof": proof.to_json()}
        if proof.worked:
            return


def _native(
    layer: TrialLayer, bench: Bench, without: list[str], plain: _Plain
) -> Generator[Answer, None, Proof | None]:
    """The engine's choice, then its next one; gives the proof of the one that worked."""
    while True:
        yield {"stage": "begin", "tier": "native", "kernel": None}
        try:
            tried = bench.native(layer, without)
        except NoKernel as none:
            yield {"stage": "none", "tier": "native", "fault": words_of(none).partition(": ")[2]}
            return None
        except Exception as fault:  # noqa: BLE001  whatever the engine raises is the verdict
            proof = Proof(kernel="", method="", fault=words_of(fault), weights=layer.origin)
            yield {"stage": "proof", "tier": "native", "proof": proof.to_json()}
            return None
        kernel = tried.kernel()
        yield {"stage": "begin", "tier": "native", "kernel": kernel or tried.method(), "method": tried.method()}
        proof = _prove(lambda tried=tried: tried, layer, bench, plain, kernel or tried.method())  # type: ignore[misc]
        yield {"stage": "proof", "tier": "native", "proof": proof.to_json()}
        if proof.worked:
            return proof
        del tried
        if kernel is None or kernel in without:
            return None  # it cannot be told to leave this one out
        without.append(kernel)


def _prove(make: Callable[[], Tried], layer: TrialLayer, bench: Bench, plain: _Plain, kernel: str) -> Proof:
    method = ""
    try:
        tried = make()
        method = tried.method()
        tried.finish()
        kernel, method = tried.kernel() or kernel, tried.method()
        found = judge(tried.run, layer.weight, layer.bias, form=layer.format, dtype=bench.dtype, reach=layer.reach)
        if found.fault is not None:
            return Proof(
                kernel=kernel, method=method, fault=found.fault, error=found.error, bound=found.bound,
                weights=layer.origin,
            )  # fmt: skip
        return Proof(
            kernel=kernel,
            method=method,
            fault=None,
            error=found.error,
            bound=found.bound,
            weights=layer.origin,
            timings=_timings(tried, layer, bench, plain),
            held_bytes=tried.held_bytes(),
        )
    except Exception as fault:  # noqa: BLE001  whatever the engine or a kernel raises is the verdict
        return Proof(kernel=kernel, method=method, fault=words_of(fault), weights=layer.origin)


def _timings(tried: Tried, layer: TrialLayer, bench: Bench, plain: _Plain) -> tuple[Timing, ...]:
    """Times of both sizes; none where 16 bits cannot be timed, for time is no part of the verdict."""
    timings = []
    try:
        beside = plain.of(layer.shape)
        for rows in rows_for(layer.shape.inputs, layer.shape.out, bench.device):
            x = example(rows, layer.shape.inputs, dtype=bench.dtype, device=bench.device, reach=layer.reach)
            seconds, plain_seconds = seconds_of(tried.run, beside.run, x)
            timings.append(Timing(rows=rows, seconds=seconds, plain_seconds=plain_seconds))
    except Exception as fault:  # noqa: BLE001  too little memory for both, say
        logger.warning("mixprec: %s is not timed: %s", layer.format.name, words_of(fault))
    return tuple(timings)


class _Plain:
    """The layer in 16 bits beside which others are timed; the last one is kept for the next of its shape."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._shape: LinearShape | None = None
        self._made: Tried | None = None

    def of(self, shape: LinearShape) -> Tried:
        if self._made is None or self._shape != shape:
            self._made = None  # before the next one is made: two of them may be too large
            made = self._bench.plain(shape)
            made.finish()
            self._shape, self._made = shape, made
        return self._made
