"""An engine's command line as words: options from a mix file, and what users may not say of what is served."""

from __future__ import annotations

__all__ = ["InvalidPort", "TakenArgument", "last_given", "option", "port_of", "refuse_taken", "refuse_taken_words"]

from collections.abc import Mapping, Sequence

from mixprec_doctor.errors import MixprecError

ABBREVIATED = 6  # letters from which on argparse would take a word for the argument that it begins


class TakenArgument(MixprecError):
    """An engine argument that would load something else than the plan."""

    def __init__(self, argument: str, value: str | None) -> None:
        super().__init__(argument, value)
        self.argument = argument
        self.value = value

    def __str__(self) -> str:
        found = self.argument if self.value is None else f"{self.argument} {self.value}"
        return (
            f"found {found}, but what is served and how it is loaded are the mix file's: with it the engine would not "
            "load the plan\n"
            "  try: leave it out; another model or format is a source of the mix file"
        )


class InvalidPort(MixprecError):
    """A port that no server can listen on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"wanted a port from 1 to 65535, found {self.text!r}\n  try: mixprec launch MIX -- --port 8001"


def refuse_taken(given: Mapping[str, object], taken: Mapping[str, str]) -> None:
    """Raises TakenArgument for an engine argument, by name, that would load something else than the plan.

    ``taken`` are the arguments that mixprec gives itself, with the value that it gives where that is a word.
    """
    for name, value in given.items():
        wanted = taken.get(name.replace("_", "-"))
        if wanted is not None and value != wanted:
            raise TakenArgument(name, str(value))


def refuse_taken_words(words: Sequence[str], taken: Mapping[str, str], *, short: Mapping[str, str]) -> None:
    """The same of words as they are typed; ``short`` names the long form of short ones."""
    for position, word in enumerate(words):
        if not word.startswith("-"):
            continue
        flag, has_value, value = word.partition("=")
        name = flag.lstrip("-").replace("_", "-")
        name = short.get(name, name)
        meant = next((each for each in taken if name == each or _abbreviates(name, each)), None)
        if meant is None:
            continue
        given = value if has_value else next(iter(words[position + 1 : position + 2]), None)
        if given != taken[meant]:
            raise TakenArgument(flag, given)


def port_of(text: str | None, *, default: int) -> int:
    """A port as it was typed. Raises InvalidPort."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise InvalidPort(text)
    return int(text)


def option(name: str, value: object, *, negated: bool) -> list[str]:
    """The words for an argument of a mix file; ``negated``: the engine takes ``--no-NAME`` for False."""
    flag = "--" + name.replace("_", "-")
    if value is True:
        return [flag]
    if value is False:
        return ["--no-" + flag[2:]] if negated else []
    if isinstance(value, list):
        return [flag, *(str(item) for item in value)]
    return [flag, str(value)]


def last_given(words: Sequence[str], *flags: str) -> str | None:
    """The value that counts for a flag of several spellings: the last one given, as argparse takes it."""
    found = None
    for position, word in enumerate(words):
        if word in flags and position + 1 < len(words):
            found = words[position + 1]
        name, equals, value = word.partition("=")
        if equals and name in flags:
            found = value
    return found


def _abbreviates(name: str, argument: str) -> bool:
    return len(name) >= ABBREVIATED and argument.startswith(name)
