"""Signatures: parameters as Python writes them."""

from __future__ import annotations

__all__ = ["parameter_words", "signature"]

from collections.abc import Sequence

from mixprec_doctor.records.resolution import Parameter

_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def parameter_words(parameters: Sequence[Parameter]) -> list[str]:
    """One text for each parameter, with the bare ``/`` and ``*`` where the kinds ask for them."""
    words: list[str] = []
    kinds = [each.kind for each in parameters]
    for at, each in enumerate(parameters):
        if each.kind == "KEYWORD_ONLY" and not {"KEYWORD_ONLY", "VAR_POSITIONAL"} & set(kinds[:at]):
            words.append("*")
        words.append(_parameter(each))
        if each.kind == "POSITIONAL_ONLY" and "POSITIONAL_ONLY" not in kinds[at + 1 :]:
            words.append("/")
    return words


def signature(name: str, parameters: Sequence[Parameter]) -> str:
    """``name(parameters)`` in one line."""
    return f"{name}({', '.join(parameter_words(parameters))})"


def _parameter(parameter: Parameter) -> str:
    head = _STARS.get(parameter.kind, "") + parameter.name
    if parameter.annotation:
        head += f": {parameter.annotation}"
    if parameter.default is None:
        return head
    return f"{head} = {parameter.default}" if parameter.annotation else f"{head}={parameter.default}"
