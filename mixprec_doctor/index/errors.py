"""What can keep a release from being found or read: what was wanted, what was found, where, and what to try."""

from __future__ import annotations

__all__ = [
    "ChangedFile",
    "InvalidRequirement",
    "NoSuchRelease",
    "SourceOnly",
    "UnreachableIndex",
    "UnreadableSettings",
]

from collections.abc import Sequence

from mixprec_doctor.errors import ExitCode, MixprecError


class InvalidRequirement(MixprecError):
    """What the user gave is no requirement (PEP 508) that an index could answer."""

    exit_code = ExitCode.MISUSE

    def __init__(self, requirement: str, fault: str) -> None:
        super().__init__(requirement, fault)
        self.requirement = requirement
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.requirement!r} names no release: {self.fault}\n  try: sglang==0.4.7, or vllm>=0.10"


class UnreadableSettings(MixprecError):
    """pip's configuration is not valid, so nobody knows which index is meant."""

    exit_code = ExitCode.MISUSE

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(place, fault)
        self.place = place
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}\n  try: pip config debug"


class NoSuchRelease(MixprecError):
    """The indexes answered, and none has a release that was wanted."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(
        self, requirement: str, *, asked: Sequence[str], newest: Sequence[str], notes: Sequence[str] = ()
    ) -> None:
        super().__init__(requirement)
        self.requirement = requirement
        self.asked = tuple(asked)  # addresses, without credentials
        self.newest = tuple(newest)  # versions that are there, newest first; empty: not even the project is
        self.notes = tuple(notes)

    def __reduce__(self) -> tuple[object, ...]:
        return _no_such_release, (self.requirement, self.asked, self.newest, self.notes)

    def __str__(self) -> str:
        where = "".join(f"\n  asked: {place}" for place in self.asked) or "\n  asked: no index is set"
        notes = "".join(f"\n  {note}" for note in self.notes)
        if not self.newest:
            return (
                f"no index has {self.requirement}{where}{notes}\n"
                "  try: another spelling, or an index that has it (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL)"
            )
        return (
            f"no release fits {self.requirement}{where}{notes}\n  newest there: {', '.join(self.newest)}\n"
            "  try: one of these"
        )


def _no_such_release(
    requirement: str, asked: Sequence[str], newest: Sequence[str], notes: Sequence[str]
) -> NoSuchRelease:
    return NoSuchRelease(requirement, asked=asked, newest=newest, notes=notes)


class UnreachableIndex(MixprecError):
    """An address gave no answer and nothing of it is in the cache."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, wanted: str, url: str, fault: str) -> None:
        super().__init__(wanted, url, fault)
        self.wanted = wanted
        self.url = url  # without credentials
        self.fault = fault

    def __str__(self) -> str:
        return (
            f"{self.wanted} could not be read, and the cache does not have it\n  {self.url}: {self.fault}\n"
            "  try: the network, the proxy and pip's settings (pip config list), or a wheel file instead"
        )


class ChangedFile(MixprecError):
    """A file on a server is not what the index, or the answer before, said."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, url: str, fault: str) -> None:
        super().__init__(url, fault)
        self.url = url
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.url}: {self.fault}\n  try: again; if it stays so, the index is broken"


class SourceOnly(MixprecError):
    """The release has no wheel, and source archives are not read."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, distribution: str, version: str, filename: str) -> None:
        super().__init__(distribution, version, filename)
        self.distribution = distribution
        self.version = version
        self.filename = filename

    def __str__(self) -> str:
        return (
            f"{self.distribution} {self.version} has no wheel, only {self.filename}; wheels only are read\n"
            "  try: pip wheel --no-deps it yourself and name the file, or take another release"
        )
