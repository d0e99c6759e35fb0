"""Kernel choices in a report: which kernel serves each format, what that costs, and why not those before it."""

from __future__ import annotations

__all__ = ["kernel_rows", "kernel_text"]

from collections.abc import Iterable, Iterator

from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Verdict
from mixprec_doctor.reports.page import Page

_TIERS = {Tier.NATIVE: "", Tier.PORTABLE: "mixprec's own", Tier.PLACEHOLDER: "raises when it is used"}
_MOST_SHAPES = 6


def kernel_text(choices: Iterable[KernelChoice], page: Page) -> Iterator[str]:
    """The section for the terminal; nothing where no kernels were chosen."""
    known = tuple(choices)
    for engine in dict.fromkeys(choice.engine for choice in known):
        yield ""
        yield page.paint(f"Kernels of {engine}", "bold")
        own = [choice for choice in known if choice.engine == engine]
        for alike in _groups(own):
            yield from _group(alike, page)


def kernel_rows(choices: Iterable[KernelChoice]) -> Iterator[tuple[str, str, str, str, str]]:
    """Engine, format, number of layers, kernel, and what speaks for or against it, for tables."""
    for alike in _groups(tuple(choices)):
        first = alike[0]
        winner = first.winner
        layers = sum(len(choice.modules) for choice in alike)
        notes = [_measured(alike)] if _measured(alike) else []
        notes += [f"not {each.candidate}: {_why(each)}" for each in _before(first)]
        yield first.engine, first.format.name, str(layers or "-"), _named(winner), "; ".join(notes)


def _groups(choices: Iterable[KernelChoice]) -> list[list[KernelChoice]]:
    """Choices of one engine, format and source that end with the same kernel."""
    found: dict[tuple[object, ...], list[KernelChoice]] = {}
    for choice in choices:
        winner = choice.winner
        key = (choice.engine, choice.format, choice.source, winner.candidate if winner else None)
        found.setdefault(key, []).append(choice)
    return list(found.values())


def _group(alike: list[KernelChoice], page: Page) -> Iterator[str]:
    first = alike[0]
    winner = first.winner
    bad = winner is None or winner.tier is Tier.PLACEHOLDER
    sure = winner is not None and winner.accepted is True
    mark = page.paint("✗", "red") if bad else page.paint("✓", "green") if sure else page.paint("?", "yellow")
    details = f", {first.format.details}" if first.format.details else ""
    source = f" ({first.source})" if first.source else ""
    lines = page.wrap(f"{first.format.name}{details}{source}: {_named(winner)}", indent=4)
    yield f"  {mark} {lines[0].strip()}"
    yield from lines[1:]
    shapes = list(dict.fromkeys(str(choice.shape) for choice in alike))
    more = f" and {len(shapes) - _MOST_SHAPES} more" if len(shapes) > _MOST_SHAPES else ""
    layers = sum(len(choice.modules) for choice in alike)
    counted = f"{layers} modules: " if layers else ""
    yield from page.wrap(f"{counted}{', '.join(shapes[:_MOST_SHAPES])}{more}", indent=6)
    if text := _measured(alike):
        yield from page.wrap(text, indent=6)
    if winner is not None and winner.accepted is None:
        for reason in winner.reasons:
            yield from page.wrap(reason, indent=6)
    for each in _before(first):
        yield from (
            page.paint(line, "dim") for line in page.wrap(f"not {each.candidate}: {_why(each)}", indent=8, first=6)
        )


def _named(winner: Verdict | None) -> str:
    if winner is None:
        return "nothing"
    notes = [_TIERS[winner.tier], "" if winner.proof is None else "tried", "" if winner.accepted else "not certain"]
    said = ", ".join(note for note in notes if note)
    return f"{winner.candidate} ({said})" if said else winner.candidate


def _before(choice: KernelChoice) -> list[Verdict]:
    """The engine's kernels that come before the winner, and all of them where nothing serves."""
    found = []
    for verdict in choice.verdicts:
        if verdict is choice.winner:
            break
        if verdict.tier is Tier.NATIVE:
            found.append(verdict)
    return found


def _why(verdict: Verdict) -> str:
    if verdict.proof is not None and verdict.proof.fault is not None:
        return verdict.proof.fault
    return "; ".join(verdict.reasons) or "not tried"


def _measured(alike: list[KernelChoice]) -> str:
    """The largest error and the time against 16 bits, by rows, over some choices."""
    proofs = [choice.winner.proof for choice in alike if choice.winner and choice.winner.proof]
    errors = [proof.error for proof in proofs if proof.error is not None]
    said = [f"error {max(errors):.2%}"] if errors else []
    return "; ".join([*said, *_times(proofs)])


def _times(proofs: list[Proof]) -> Iterator[str]:
    ratios: dict[int, list[float]] = {}
    for proof in proofs:
        for timing in proof.timings:
            ratios.setdefault(timing.rows, []).append(timing.ratio)
    for rows, found in sorted(ratios.items()):
        least, most = f"{min(found):.2f}", f"{max(found):.2f}"
        span = least if least == most else f"{least} to {most}"
        yield f"{rows} row{'s' if rows > 1 else ''}: {span} times 16 bits"
