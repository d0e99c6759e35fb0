"""Shards that a plan needs, fetched before anything else is started."""

from __future__ import annotations

__all__ = ["fetch_planned"]

import click

from mixprec_runtime.hub.fetch import UnfetchedShards, fetch, unfetched
from mixprec_runtime.records.plan import Plan


def fetch_planned(plan: Plan, *, dry_run: bool = False) -> None:
    """Fetch the shards that hold planned tensors; the Hub's own library draws its bars. Raises UnfetchedShards."""
    from mixprec_runtime.reports.sizes import human_bytes

    for wanted in unfetched(tensor.file for layer in plan.layers for tensor in layer.tensors):
        words = f"{len(wanted.names)} shards, {human_bytes(wanted.bytes)}, of {wanted.origin}"
        if dry_run:
            fault = f"{human_bytes(wanted.bytes)} have to be fetched before the command is known: mixprec launch MIX"
            raise UnfetchedShards(str(wanted.origin), wanted.names, fault)
        click.echo(f"fetching {words}", err=True)
        fetch(wanted)
