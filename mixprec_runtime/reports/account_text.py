"""An account as text: what was read, what the engine holds, which kernels serve it; against plan and BF16."""

from __future__ import annotations

__all__ = ["account_text"]

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_runtime.records.account import LayerMemory, LoadAccount
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.reports.sizes import human_bytes, ratio


def account_text(plan: Plan, accounts: tuple[LoadAccount, ...]) -> RenderableType:
    """Planned and measured memory by format, and kernels that had to be replaced."""
    if not accounts:
        return Text("! the engine wrote no account of its load", style="yellow")
    parts: list[RenderableType] = [_read(accounts), _memory(plan, accounts)]
    for kernel in dict.fromkeys(refused for account in accounts for refused in account.refused):
        parts.append(Text(f"! replaced {kernel.method}: {kernel.fault}", style="yellow"))
    return Group(*parts)


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
    return Text(
        f"✓ {filled} parameters filled, each exactly once, in {slowest:.1f} s; read {sources}", style="green"
    )


def _memory(plan: Plan, accounts: tuple[LoadAccount, ...]) -> Table:
    layers = [layer for account in accounts for layer in account.layers]
    planned: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for layer in plan.layers:
        planned[layer.format.name] += sum(layer.bytes_per_rank)
        size = 2
        for extent in layer.shape:
            size *= extent
        plain[layer.format.name] += size
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("format", "planned", "held", "in BF16", "held of BF16", "served by"):
        table.add_column(name, justify="left" if name in ("format", "served by") else "right", overflow="fold")
    held: Counter[str] = Counter()
    for memory in layers:
        held[memory.format or "other"] += memory.held_bytes
    for name in sorted(held, key=lambda name: -held[name]):
        table.add_row(
            name,
            human_bytes(planned[name]) if name in planned else "-",
            human_bytes(held[name]),
            human_bytes(plain[name]) if name in plain else "-",
            ratio(held[name], plain[name]),
            _methods(layers, name),
        )
    total = sum(held.values())
    whole = plan.totals.bf16_bytes
    table.add_row(
        "whole mixture", human_bytes(sum(planned.values())), human_bytes(total), human_bytes(whole),
        ratio(total, whole), style="bold",
    )  # fmt: skip
    return table


def _methods(layers: list[LayerMemory], name: str) -> str:
    counts = Counter(
        layer.method for layer in layers if (layer.format or "other") == name and _is_linear(layer)
    )
    return ", ".join(f"{count} x {method}" for method, count in counts.most_common())


def _is_linear(layer: LayerMemory) -> bool:
    return "Method" in layer.method or "Kernel" in layer.method
