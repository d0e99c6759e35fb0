"""Hearing: what trials tell of each layer, kept over the deaths of the processes that tell it."""

from __future__ import annotations

__all__ = ["Heard", "Hearing"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixprec_doctor.records.kernel import Proof, Tier
from mixprec_doctor.records.workload import WorkloadLayer


@dataclass(kw_only=True)
class Heard:
    """What was told of one layer: proofs in the order in which they were made, and refusals."""

    number: int
    tier: Tier = Tier.NATIVE  # the one to go on with
    without: list[str] = field(default_factory=list)  # candidates that are not to be tried again
    proofs: list[tuple[Tier, Proof]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # portable kernels that cannot serve it, and why
    none_left: str | None = None  # the engine's words when it found no further kernel
    fault: str | None = None  # why the layer itself could not be read
    finished: bool = False

    @property
    def weights(self) -> str:
        """What the trials took for weights, as far as one has told."""
        return next((proof.weights for _, proof in self.proofs), "generated")


class Hearing:
    """Takes the answers of one child after another."""

    def __init__(self, layers: Sequence[WorkloadLayer]) -> None:
        self._asked = tuple(layers)
        self.layers = tuple(Heard(number=number) for number in range(len(layers)))
        self.ready = False
        self.now = "the engine"
        self._at: tuple[Heard, Tier, str | None] | None = None

    @property
    def waiting(self) -> tuple[Heard, ...]:
        """Layers without an end."""
        return tuple(heard for heard in self.layers if not heard.finished)

    @property
    def finished(self) -> int:
        """How many have one."""
        return len(self.layers) - len(self.waiting)

    def begin(self) -> None:
        """A new child; the last one's step, if it had any, is not this one's."""
        self.ready, self._at = False, None

    def requests(self) -> list[dict[str, Any]]:
        """What a child is asked: every layer without an end, without the candidates that are known to fail."""
        return [_request(self._asked[heard.number], heard) for heard in self.waiting]

    def hear(self, answer: Mapping[str, Any]) -> None:
        """One answer."""
        stage = answer["stage"]
        if stage == "ready":
            self.ready = True
            return
        heard = self.layers[answer["layer"]]
        if stage == "begin":
            self._begin(heard, Tier(answer["tier"]), answer["kernel"])
        elif stage == "proof":
            self._prove(heard, Tier(answer["tier"]), Proof.from_json(answer["proof"]))
        elif stage == "refused":
            heard.refused[answer["kernel"]] = answer["fault"]
        elif stage == "none":
            heard.none_left, heard.tier, self._at = answer["fault"], Tier.PORTABLE, None
        else:
            heard.fault = answer.get("fault")
            heard.finished, self._at = True, None

    def died(self, fault: str) -> None:
        """The child ended while it took a step: that is the verdict on the candidate; elsewhere, on the layer."""
        if self._at is None:
            for heard in self.waiting[:1]:
                heard.fault, heard.finished = fault, True
            return
        heard, tier, kernel = self._at
        self._prove(heard, tier, Proof(kernel=kernel or "", method="", fault=fault, weights=heard.weights))
        if not kernel:
            heard.tier = Tier.PORTABLE  # it died while the engine chose: there is nothing to leave out

    def abandon(self, fault: str) -> None:
        """Nothing can be tried at all: every layer that has no end gets this as the reason."""
        for heard in self.waiting:
            heard.fault, heard.finished = fault, True

    def _begin(self, heard: Heard, tier: Tier, kernel: str | None) -> None:
        layer = self._asked[heard.number]
        self.now = f"{kernel or 'the choice of the engine'} for {layer.format.name} {layer.shape}"
        self._at, heard.tier = (heard, tier, kernel), tier

    def _prove(self, heard: Heard, tier: Tier, proof: Proof) -> None:
        heard.proofs.append((tier, proof))
        self._at = None
        if proof.worked:
            return
        again = proof.kernel in heard.without
        if tier is Tier.NATIVE and (not proof.kernel or again):
            heard.tier = Tier.PORTABLE
        elif again:
            heard.finished = True  # it was to be left out, and was not
        elif proof.kernel:
            heard.without.append(proof.kernel)


def _request(layer: WorkloadLayer, heard: Heard) -> dict[str, Any]:
    return {
        "number": heard.number,
        "format": layer.format.to_json(),
        "shape": layer.shape.to_json(),
        "folder": layer.folder,
        "unit": list(layer.units[0]) if layer.units else [],
        "parts": [[stored.to_json() for stored in part] for part in layer.parts],
        "tier": heard.tier.value,
        "without": list(heard.without),
    }
