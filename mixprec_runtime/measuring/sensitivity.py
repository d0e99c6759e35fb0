"""Sensitivity: what each choice of a fit loses, measured by a child process, and how whole mixtures really do."""

from __future__ import annotations

__all__ = ["Sensitivity", "TextsOfFit"]

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.fitting.texts import Text
from mixprec_runtime.measuring.child import Child, MeasuringFailed
from mixprec_runtime.measuring.identity import Identities
from mixprec_runtime.measuring.interactions import pair_losses
from mixprec_runtime.measuring.ledger import Entry, Ledger
from mixprec_runtime.measuring.quality import Progress
from mixprec_runtime.records.fit import Choice, ChoiceUnit, JointLoss, Losses, MeasuredMixture, Problem
from mixprec_runtime.records.mix import BASE_SOURCE

CHILD = "mixprec_runtime.adapters.torch.sensitivity"
WAY = "1"  # of measuring; another one makes other numbers
SHARE = 0.2  # of the largest change among a unit's sources; what changes less is not followed
CHOICE, JUDGE = 0, 1
TOKENS, COVERED = "tokens", "covered"  # what is kept of a text beside its choices


@dataclass(frozen=True, kw_only=True)
class TextsOfFit:
    """What choices are made on and what they are judged on, in windows of so many tokens."""

    choice: Text
    judge: Text
    choice_tokens: int
    judge_tokens: int
    choice_window: int
    judge_window: int


class Sensitivity:
    """Measures for one problem, to be used in a ``with`` block: the child lives as long, and keeps the model."""

    def __init__(
        self,
        problem: Problem,
        folders: Mapping[str, Path],
        texts: TextsOfFit,
        *,
        root: Path,
        most_bytes: int,
        progress: Progress,
    ) -> None:
        self.problem = problem
        self.folders = folders
        self.texts = texts
        self._most_bytes = most_bytes
        self._progress = progress
        self._opened = {name: open_checkpoint(folder) for name, folder in folders.items()}
        self._identities = Identities(root / "digests", progress)
        self._base = self._identities.whole(self._opened[BASE_SOURCE])
        self._ledgers = {
            CHOICE: self._ledger(root, texts.choice, texts.choice_tokens, texts.choice_window),
            JUDGE: self._ledger(root, texts.judge, texts.judge_tokens, texts.judge_window),
        }
        self._errors = Ledger(root / f"errors-{_digest(WAY, self._base)}.jsonl")
        self._keys: dict[Choice, str] = {}
        self._stack = ExitStack()
        self._child: Child | None = None

    def __enter__(self) -> Sensitivity:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def losses(self, method: str) -> Losses:
        """Losses by "kl" or "error". Raises MeasuringFailed; what was measured until then is kept."""
        began = time.perf_counter()
        known = self._from_errors() if method == "error" else self._from_following()
        return Losses(
            method=method,
            alone=known.alone,
            joint=known.joint,
            scaled=known.scaled,
            text=None if method == "error" else self.texts.choice.name,
            tokens=0 if method == "error" else self._tokens(CHOICE),
            seconds=time.perf_counter() - began,
        )

    def mixture(self, name: str, sources: Mapping[str, str], *, predicted: float | None = None) -> MeasuredMixture:
        """How a whole choice does on the text for judging. Raises MeasuringFailed."""
        ledger = self._ledgers[JUDGE]
        key = _digest("mixture", *(self._key(unit, sources[unit.name]) for unit in self.problem.units))
        found = ledger.get(key)
        if found is None or found.nats is None:
            child = self._started(follow=False)
            child.ask({"name": name, "sources": dict(sources), "text": JUDGE})
            told = self._answer(child, name)
            found = Entry(change=float(told["divergence"]), nats=float(told["nats"]))
            ledger.add(key, found)
        assert found.nats is not None  # noqa: S101  set above
        return MeasuredMixture(
            name=name,
            bytes=self.problem.bytes_of(sources),
            divergence=found.change,
            nats=found.nats,
            tokens=self._tokens(JUDGE),
            predicted=predicted,
        )

    @property
    def covered(self) -> float | None:
        """The share of the probability that was compared while choices were followed."""
        found = self._ledgers[CHOICE].get(COVERED)
        return found.change if found is not None else None

    def _tokens(self, text: int) -> int:
        found = self._ledgers[text].get(TOKENS)
        return int(found.change) if found is not None else 0

    def _answer(self, child: Child, name: str) -> Mapping[str, Any]:
        for told in child.told():
            self._hear(told)
            if told.get("name") == name:
                return told
        raise MeasuringFailed(0, ("it ended before it had measured a mixture",))

    def _hear(self, told: Mapping[str, Any]) -> None:
        """Keep what is told of a text."""
        if "windows" in told:
            size = float(told["windows"] * told["window"])
            self._ledgers[int(told["text"])].add(TOKENS, Entry(change=size, nats=None))
        if "covered" in told:
            self._ledgers[CHOICE].add(COVERED, Entry(change=float(told["covered"]), nats=None))

    def _from_errors(self) -> _Known:
        wanted = [c for c in self._choices() if self._errors.get(self._keys[c]) is None]
        if wanted:
            done, total = 0, len(wanted)
            for told in self._started(follow=False, errors=wanted).told():
                if told.get("measured"):
                    break
                if "error" in told:
                    done += 1
                    choice = str(told["unit"]), str(told["source"])
                    self._errors.add(self._keys[choice], Entry(change=float(told["error"]), nats=None))
                    self._progress(done, total, choice[0])
        parameters = sum(unit.parameters for unit in self.problem.units)
        alone = dict(self._zeros())
        for choice in self._choices():
            found = self._errors.get(self._keys[choice])
            if found is None:
                raise MeasuringFailed(0, (f"nothing was told of {choice[0]} from {choice[1]}",))
            alone[choice] = found.change / parameters
        return _Known(alone=alone, joint=(), scaled=frozenset())

    def _from_following(self) -> _Known:
        ledger = self._ledgers[CHOICE]
        if any(self._is_open(layer) for layer in self._layers()):
            self._follow()
        alone, scaled = dict(self._zeros()), set()
        joint: list[JointLoss] = []
        for at, units in self._layers().items():
            together: dict[str, dict[str, float]] = {}
            for unit in units:
                entries = {c: e for c in self._of(unit) if (e := ledger.get(self._keys[c])) is not None}
                for choice, entry in entries.items():
                    if entry.nats is None:
                        scaled.add(choice)
                        alone[choice] = _scaled(entry, entries.values())
                    else:
                        alone[choice] = entry.nats
                        together.setdefault(choice[1], {})[unit.name] = entry.nats
            for source, each in together.items():
                found = ledger.get(self._joint(at, units, source)) if at is not None else None
                if found is not None and found.nats is not None and len(each) > 1:
                    joint += pair_losses(source, each, found.nats)
        return _Known(alone=alone, joint=tuple(joint), scaled=frozenset(scaled))

    def _follow(self) -> None:
        """Let the child measure what the ledger has not."""
        child = self._started(follow=True, known=list(self._told_before()))
        done = total = 0
        for told in child.told():
            if told.get("measured"):
                return
            self._hear(told)
            if "nats" in told:
                self._add(told)
            total = int(told.get("total", total))
            done += int(told.get("moved", 0))
            if total:
                self._progress(done, total, "measuring how much each unit bears")
        raise MeasuringFailed(0, ("it ended before it had measured all units",))

    def _told_before(self) -> Iterator[tuple[str, str, float, float | None]]:
        """What the ledger has, in the child's words."""
        ledger = self._ledgers[CHOICE]
        for choice in self._choices():
            if (entry := ledger.get(self._keys[choice])) is not None:
                yield *choice, entry.change, entry.nats
        for at, units in self._layers().items():
            for source in self.folders:
                if at is not None and (entry := ledger.get(self._joint(at, units, source))) is not None:
                    yield f"{at}*", source, entry.change, entry.nats

    def _add(self, told: Mapping[str, Any]) -> None:
        """Keep what is told of a choice, or of all units of a layer. Raises MeasuringFailed for what is no number."""
        unit, source = str(told["unit"]), str(told["source"])
        at = int(unit[:-1]) if unit.endswith("*") else None
        key = self._keys[unit, source] if at is None else self._joint(at, self._layers()[at], source)
        nats = None if told["nats"] is None else float(told["nats"])
        if nats is not None and not math.isfinite(nats):
            raise MeasuringFailed(0, (f"{unit} from {source} gives numbers that are none: {nats}",))
        self._ledgers[CHOICE].add(key, Entry(change=float(told["change"]), nats=nats))

    def _is_open(self, at: int | None) -> bool:
        """Whether something of a layer is not known yet."""
        ledger, units = self._ledgers[CHOICE], self._layers()[at]
        together: dict[str, int] = {}
        for unit in units:
            entries = {c: ledger.get(self._keys[c]) for c in self._of(unit)}
            found = [each for each in entries.values() if each is not None]
            if len(found) != len(entries):
                return True
            largest = max((each.change for each in found), default=0.0)
            for choice, entry in entries.items():
                if entry is not None and (entry.nats is not None or entry.change >= SHARE * largest):
                    together[choice[1]] = together.get(choice[1], 0) + 1
                    if entry.nats is None:
                        return True
        if at is None:
            return False
        return any(ledger.get(self._joint(at, units, s)) is None for s, count in together.items() if count > 1)

    def _started(self, *, follow: bool, known: Sequence[object] = (), errors: Sequence[Choice] = ()) -> Child:
        """The child; one that has not been asked to follow choices cannot do so later, so that a new one is made."""
        if self._child is not None and not follow and not errors:
            return self._child
        self._stack.close()
        self._progress(0, 0, "starting PyTorch")
        self._child = self._stack.enter_context(Child(CHILD, self._request(follow=follow, known=known, errors=errors)))
        return self._child

    def _request(self, *, follow: bool, known: Sequence[object], errors: Sequence[Choice]) -> dict[str, object]:
        texts = self.texts
        return {
            "folders": {name: str(folder) for name, folder in self.folders.items()},
            "units": [self._told(unit) for unit in self.problem.units],
            "errors": [list(choice) for choice in errors],
            "follow": follow,
            "known": known,
            "share": SHARE,
            "most_bytes": self._most_bytes,
            "texts": [
                {"name": text.name, "parts": [part.text for part in text.parts], "tokens": tokens, "window": window}
                for text, tokens, window in (
                    (texts.choice, texts.choice_tokens, texts.choice_window),
                    (texts.judge, texts.judge_tokens, texts.judge_window),
                )
            ],
        }

    def _told(self, unit: ChoiceUnit) -> dict[str, Any]:
        modules = {o.source: [*unit.modules, *o.follows] for o in unit.options if o.source != BASE_SOURCE}
        return {"name": unit.name, "layer": unit.layer, "modules": modules}

    def _layers(self) -> dict[int | None, list[ChoiceUnit]]:
        layers: dict[int | None, list[ChoiceUnit]] = {}
        for unit in self.problem.units:
            layers.setdefault(unit.layer, []).append(unit)
        return layers

    def _of(self, unit: ChoiceUnit) -> list[Choice]:
        choices = [(unit.name, option.source) for option in unit.options if option.source != BASE_SOURCE]
        for choice in choices:
            self._key(unit, choice[1])
        return choices

    def _choices(self) -> list[Choice]:
        return [choice for unit in self.problem.units for choice in self._of(unit)]

    def _zeros(self) -> dict[Choice, float]:
        return {(unit.name, option.source): 0.0 for unit in self.problem.units for option in unit.options}

    def _key(self, unit: ChoiceUnit, source: str) -> str:
        choice = unit.name, source
        if choice not in self._keys:
            modules = (*unit.modules, *unit.option(source).follows)
            self._keys[choice] = _digest(self._identities.of(self._opened[source], modules))
        return self._keys[choice]

    def _joint(self, at: int, units: Sequence[ChoiceUnit], source: str) -> str:
        keys = [self._key(u, source) for u in units if any(o.source == source for o in u.options)]
        return _digest("joint", str(at), *keys)

    def _ledger(self, root: Path, text: Text, tokens: int, window: int) -> Ledger:
        return Ledger(root / f"{_digest(WAY, self._base, text.digest, str(tokens), str(window))}.jsonl")


@dataclass(frozen=True, kw_only=True)
class _Known:
    alone: Mapping[Choice, float]
    joint: tuple[JointLoss, ...]
    scaled: frozenset[Choice]


def _scaled(entry: Entry, others: Any) -> float:  # noqa: ANN401
    """The loss of the source that changes most, times the ratio of the changes."""
    most = max((each for each in others if each.nats is not None), key=lambda each: each.change)
    return float(most.nats * entry.change / most.change) if most.change else 0.0


def _digest(*words: str) -> str:
    return hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()
