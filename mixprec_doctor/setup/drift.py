"""Drift: what differs between two fingerprints, and which proofs that leaves standing."""

from __future__ import annotations

__all__ = ["concerning", "drift_of", "valid_choices", "with_kept"]

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mixprec_doctor.records.kernel import KernelChoice, Tier
from mixprec_doctor.records.setup import Aspect, Drift, Fingerprint, Installed, Setup
from mixprec_doctor.records.workload import Workload, WorkloadLayer

_CONFIG = "config.json"
_MOST_KEPT = 1000  # choices of other workloads


def drift_of(before: Fingerprint, now: Fingerprint) -> tuple[Drift, ...]:
    """Everything that is not as it was; what the proofs depend on comes first."""
    found = [
        *_of(Aspect.INTERPRETER, before.interpreter, now.interpreter),
        *_of(Aspect.MACHINE, before.machine, now.machine),
        *_of_distributions(before, now),
        *(_unvalued(each) for each in _of(Aspect.VARIABLE, before.variables, now.variables)),
        *(_unvalued(each) for each in _of(Aspect.FILE, before.files, now.files)),
    ]
    return tuple(sorted(found, key=lambda each: not each.counts))


def _of(aspect: Aspect, before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[Drift]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            yield Drift(aspect=aspect, name=name, before=before.get(name), now=now.get(name))


def _unvalued(drift: Drift) -> Drift:
    """Digests say nothing to a reader; that they differ does."""
    same = "" if drift.before is not None else None
    return Drift(aspect=drift.aspect, name=drift.name, before=same, now=None if drift.now is None else "")


def _of_distributions(before: Fingerprint, now: Fingerprint) -> Iterable[Drift]:
    """By name; where two folders hold one distribution, both are compared, whichever of them an import takes."""
    old, new = _by_name(before), _by_name(now)
    for name in dict.fromkeys([*old, *new]):
        was, is_ = old.get(name, []), new.get(name, [])
        if [(each.version, each.digest) for each in was] != [(each.version, each.digest) for each in is_]:
            yield Drift(
                aspect=Aspect.DISTRIBUTION,
                name=name,
                before=_versions(was),
                now=_versions(is_),
                counts=any(each.counts for each in (*was, *is_)),
            )


def _by_name(fingerprint: Fingerprint) -> dict[str, list[Installed]]:
    found: dict[str, list[Installed]] = {}
    for each in fingerprint.distributions:
        found.setdefault(each.name, []).append(each)
    return found


def _versions(installed: Iterable[Installed]) -> str | None:
    return " and ".join(each.version or "?" for each in installed) or None


def valid_choices(
    setup: Setup, drifts: Iterable[Drift], workload: Workload
) -> tuple[tuple[KernelChoice, ...], tuple[WorkloadLayer, ...]]:
    """The choices for the workload that still hold, and the layers that must be verified anew.

    Nothing holds when the interpreter, the machine, a variable or a distribution that counts is another. Else a proof
    holds for its format, shape and type, as long as the config of the checkpoint that it was made for is the same.
    """
    counting = [each for each in drifts if each.counts]
    if any(each.aspect is not Aspect.FILE for each in counting):
        return (), workload.layers
    configs = {Path(each.name).parent for each in counting if Path(each.name).name == _CONFIG}
    proved = {
        (choice.folder, choice.format, choice.shape): choice
        for choice in setup.choices
        if choice.dtype == workload.dtype
        and choice.folder is not None
        and Path(choice.folder) not in configs
        and _is_decided(choice)
    }
    held, missing = [], []
    for layer in workload.layers:
        choice = proved.get((layer.folder, layer.format, layer.shape))
        if choice is None:
            missing.append(layer)
        else:
            held.append(choice.for_layers(layer))
    return tuple(held), tuple(missing)


def _is_decided(choice: KernelChoice) -> bool:
    """Whether trials came to an end for it; what the time did not suffice for is tried anew."""
    winner = choice.winner
    return winner is None or winner.proof is not None or winner.tier is Tier.PLACEHOLDER


def concerning(drifts: Iterable[Drift], workload: Workload) -> tuple[Drift, ...]:
    """Those drifts that a workload depends on: of files, only its own."""
    folders = {Path(layer.folder) for layer in workload.layers}
    return tuple(
        each
        for each in drifts
        if each.aspect is not Aspect.FILE or each.name == workload.name or Path(each.name).parent in folders
    )


def with_kept(setup: Setup, before: Setup | None, drifts: Iterable[Drift]) -> Setup:
    """A setup with what an earlier one proved of other layers and what still holds; checkpoints that are gone go."""
    counting = [each for each in drifts if each.counts]
    if before is None or before.engine != setup.engine or any(each.aspect is not Aspect.FILE for each in counting):
        return setup
    changed = {Path(each.name).parent for each in counting if Path(each.name).name == _CONFIG}
    own = {(choice.folder, choice.format, choice.shape, choice.dtype) for choice in setup.choices}
    kept = [
        choice
        for choice in before.choices
        if choice.folder is not None
        and (choice.folder, choice.format, choice.shape, choice.dtype) not in own
        and Path(choice.folder) not in changed
        and Path(choice.folder).is_dir()
    ][-_MOST_KEPT:]
    folders = {Path(choice.folder) for choice in kept if choice.folder is not None}
    files = {name: digest for name, digest in before.fingerprint.files.items() if Path(name).parent in folders}
    fingerprint = replace(setup.fingerprint, files={**files, **setup.fingerprint.files})
    return replace(setup, choices=(*kept, *setup.choices), fingerprint=fingerprint)
