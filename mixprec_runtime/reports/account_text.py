"""An account as text: what was read, what the engine holds, which kernels serve it; against plan and BF16."""

from __future__ import annotations

__all__ = ["account_text", "replaced_lines"]

import re
from collections import Counter
from collections.abc import Iterable
from math import prod

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_doctor.kernels.cost import cost
from mixprec_doctor.records.kernel import KernelChoice, Verdict
from mixprec_runtime.records.account import LayerMemory, LoadAccount
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.reports.sizes import human_bytes, ratio

OTHER = "other"  # tables and buffers that no checkpoint fills


def account_text(plan: Plan, accounts: tuple[LoadAccount, ...]) -> RenderableType:
    """Planned and measured memory by format, the kernels in use, and those that had to be replaced."""
    if not accounts:
        return Text("! the engine wrote no account of its load", style="yellow")
    parts: list[RenderableType] = [_read(accounts), Text(), _memory(plan, accounts), _after(accounts), Text()]
    missing = set(range(accounts[0].world_size)) - {account.rank for account in accounts}
    if missing:
        ranks = ", ".join(map(str, sorted(missing)))
        parts.insert(0, Text(f"! no account came from rank {ranks} of {accounts[0].world_size}", style="yellow"))
    parts += [Text("Served by", style="bold"), *_kernels(accounts)]
    told = replaced_lines(plan.kernels)
    if not told:  # nothing was proved before the start: the engine's process tried its kernels itself
        refused = dict.fromkeys(each for account in accounts for each in account.refused)
        told = [f"! replaced {kernel.method}: {kernel.fault}" for kernel in refused]
    parts += [Text(line, style="yellow") for line in told]
    return Group(*parts)


def replaced_lines(choices: Iterable[KernelChoice]) -> list[str]:
    """Which layers are not served by the engine's own first choice, why, and what that costs."""
    told: dict[tuple[str, ...], tuple[list[KernelChoice], list[str]]] = {}
    for choice in choices:
        winner = choice.winner
        refuted = [each for each in choice.verdicts if each.proof is not None and each.accepted is False]
        if refuted and winner is not None:
            faults = [f"{each.candidate}: {_why(each)}" for each in refuted]
            alike_but_for_numbers = (re.sub(r"\d+(\.\d+)?", "N", fault) for fault in faults)
            group = (choice.format.name, winner.candidate, *alike_but_for_numbers)
            told.setdefault(group, ([], faults))[0].append(choice)
    lines = []
    for (form, kernel, *_), (alike, faults) in told.items():
        modules = [module for choice in alike for module in choice.modules]
        more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
        times = cost(alike)
        lines.append(f"! {form}: {kernel} serves {modules[0]}{more}{'; it takes ' + ', '.join(times) if times else ''}")
        lines += [f"    in place of {fault}" for fault in faults]
    return lines


def _why(verdict: Verdict) -> str:
    fault = verdict.proof.fault if verdict.proof is not None else None
    return fault if fault is not None else "; ".join(verdict.reasons)


def _read(accounts: tuple[LoadAccount, ...]) -> Text:
    tensors: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for account in accounts:
        for name, read in account.sources.items():
            tensors[name] = max(tensors[name], read.tensors)
            sizes[name] = max(sizes[name], read.bytes)
    sources = ", ".join(f"{name} {tensors[name]} tensors {human_bytes(sizes[name])}" for name in tensors)
    filled = sum(account.parameters for account in accounts)
    slowest = max(account.seconds for account in accounts)
    rate = f", {human_bytes(int(sum(sizes.values()) / slowest))}/s" if slowest else ""
    words = f"✓ {filled} parameters filled, each exactly once, in {slowest:.1f} s{rate}; read {sources}"
    told = [account.digests for account in accounts if account.digests is not None]
    if told:
        words += (
            "; every tensor is what it was at the first load" if "same" in told else "; digests kept for later loads"
        )
    return Text(words, style="green")


def _memory(plan: Plan, accounts: tuple[LoadAccount, ...]) -> Table:
    planned: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for layer in plan.layers:
        planned[layer.format.name] += sum(layer.bytes_per_rank)
        plain[layer.format.name] += 2 * prod(layer.shape)
    loaded: Counter[str] = Counter()
    for memory in _layers(accounts):
        loaded[memory.format or OTHER] += memory.loaded_bytes
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("format", "planned", "loaded", "in BF16", "of BF16"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for name in sorted(loaded, key=lambda name: -loaded[name]):
        known = name in planned
        table.add_row(
            name,
            human_bytes(planned[name]) if known else "-",
            human_bytes(loaded[name]),
            human_bytes(plain[name]) if known else "-",
            ratio(loaded[name], plain[name]),
        )
    total, whole = sum(loaded.values()), plan.totals.bf16_bytes
    sizes = [human_bytes(size) for size in (sum(planned.values()), total, whole)]
    table.add_row("whole mixture", *sizes, ratio(total, whole), style="bold")
    return table


def _after(accounts: tuple[LoadAccount, ...]) -> Text:
    held = sum(account.held_bytes for account in accounts)
    grown = sum(account.grown_bytes for account in accounts)
    return Text(
        f"  after the engine's repacking: {human_bytes(held)} in tensors; "
        f"the engine's process grew by {human_bytes(grown)} while it made and loaded the model"
    )


def _kernels(accounts: tuple[LoadAccount, ...]) -> list[Text]:
    counts = Counter((layer.format, layer.method) for layer in _layers(accounts) if _is_linear(layer))
    return [Text(f"  {count:>3} x {name or OTHER}: {method}") for (name, method), count in counts.most_common()]


def _layers(accounts: tuple[LoadAccount, ...]) -> list[LayerMemory]:
    return [layer for account in accounts for layer in account.layers]


LINEAR = ("Method", "Kernel", "portable", "compiled", "Scheme", "CompressedTensors")


def _is_linear(layer: LayerMemory) -> bool:
    """Engines' classes say so in their names; the embedded one names its kernel, or PyTorch's own layer."""
    return layer.method == "Linear" or any(word in layer.method for word in LINEAR)
