"""Fetching what a plan needs: only the shards that hold planned tensors, of the commit that was planned with."""

from __future__ import annotations

__all__ = ["Fetch", "UnfetchedShards", "fetch", "unfetched"]

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.hub.kept import Origin, origin_of, shard_of
from mixprec_runtime.hub.snapshot import is_offline
from mixprec_runtime.hub.words import hub_fault


class UnfetchedShards(MixprecError):
    """Shards that a plan needs and that did not come from the Hub."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, origin: str, names: tuple[str, ...], fault: str) -> None:
        super().__init__(origin, names, fault)
        self.origin = origin
        self.names = names
        self.fault = fault

    def __str__(self) -> str:
        return f"{len(self.names)} shards of {self.origin} are not here ({self.names[0]} ...): {self.fault}"


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Shards of one repository that a plan needs and that are not here yet."""

    origin: Origin
    folder: Path
    names: tuple[str, ...]
    bytes: int


def unfetched(files: Iterable[Path]) -> tuple[Fetch, ...]:
    """What has to come from the Hub before these files can be read; one entry for each repository."""
    folders: dict[Path, list[Path]] = {}
    for file in sorted(set(files)):
        if not file.is_file():
            folders.setdefault(file.parent, []).append(file)
    found = []
    for folder, missing in folders.items():
        origin = origin_of(folder)
        if origin is not None:
            sizes = [shard.size for shard in map(shard_of, missing) if shard is not None]
            names = tuple(file.name for file in missing)
            found.append(Fetch(origin=origin, folder=folder, names=names, bytes=sum(sizes)))
    return tuple(found)


def fetch(wanted: Fetch) -> None:
    """Fetch the shards into the Hub's own cache, with the progress bars of its library. Raises UnfetchedShards."""
    if is_offline():
        raise UnfetchedShards(str(wanted.origin), wanted.names, "HF_HUB_OFFLINE is set, which forbids to fetch them")
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            wanted.origin.repository,
            revision=wanted.origin.commit,
            allow_patterns=list(wanted.names),
            library_name="mixprec",
        )
    except Exception as fault:  # the library raises a dozen kinds; each is the user's to read
        raise UnfetchedShards(str(wanted.origin), wanted.names, hub_fault(wanted.origin.repository, fault)) from fault
    missing = tuple(name for name in wanted.names if not (wanted.folder / name).is_file())
    if missing:
        raise UnfetchedShards(str(wanted.origin), missing, "the Hub has them not at this commit")
