"""Words for what the Hub's library raises: what is wrong, and what to do about it."""

from __future__ import annotations

__all__ = ["hub_fault"]

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
ADVICE = {
    "GatedRepoError": "it is gated: ask for access at {place}, then " + LOGIN,
    "RepositoryNotFoundError": "there is no such repository, or it is private: " + LOGIN,
    "RevisionNotFoundError": "it has no such revision; name a branch, a tag or a commit after @",
    "LocalEntryNotFoundError": "it is not in the Hub's cache, and the Hub cannot be asked (HF_HUB_OFFLINE, no network)",
    "IncompleteSnapshotError": "the Hub's cache has only a part of it, and the Hub cannot be asked",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set, which forbids to ask the Hub",
}


def hub_fault(repository: str, fault: BaseException) -> str:
    """What to tell of an exception of the Hub's library, by its class and those above it."""
    for kind in type(fault).__mro__:
        if kind.__name__ in ADVICE:
            return ADVICE[kind.__name__].format(place=f"https://huggingface.co/{repository}")
    first = str(fault).strip().splitlines()[0] if str(fault).strip() else ""
    return f"{type(fault).__name__}: {first}"
