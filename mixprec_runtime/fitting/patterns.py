"""Patterns: regular expressions for modules of some kinds in some layers, the shortest that means no other module."""

from __future__ import annotations

__all__ = ["module_pattern", "number_pattern"]

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mixprec_runtime.planning.experts import EXPERTS

MOST = 8  # parents that a pattern lists
ORDER = ("q", "k", "v", "o", "gate", "up", "down")
ALTERNATIVES = re.compile(r"([^.]*)_proj")


def module_pattern(
    modules: Mapping[str, tuple[str, int, str]],
    *,
    needed: Iterable[str],
    harmless: Iterable[str],
    everything: Sequence[str],
) -> str | None:
    """The target that means all that is needed and nothing but what is harmless; None where none of the forms does.

    ``modules`` gives the stack, number and rest of the name of each module of a layer
    (``model.layers``, 3, ``mlp.up_proj``); ``everything`` are all modules of the model.
    """
    wanted = frozenset(needed)
    allowed = wanted.union(harmless)
    forbidden = [module for module in everything if module not in allowed]
    (stack,) = {modules[module][0] for module in wanted}
    layers = {modules[module][1] for module in wanted}
    parts = list(dict.fromkeys(modules[module][2] for module in sorted(wanted, key=_place)))
    tried = {f"re:{head}{tail}" for head in _heads(stack, layers, forbidden, modules) for tail in _tails(parts)}
    for pattern in sorted(tried, key=lambda each: (len(each), each)):
        match = re.compile(pattern[3:]).match
        if all(match(module) for module in wanted) and not any(match(module) for module in forbidden):
            return pattern
    return None


def number_pattern(numbers: Iterable[int]) -> str:
    """A regular expression for some numbers: ``(0|1[0-3]|29)``."""
    digits: dict[str, list[int]] = {}
    for number in sorted(set(numbers)):
        tens, ones = divmod(number, 10)
        digits.setdefault(str(tens) if tens else "", []).append(ones)
    alike: dict[tuple[int, ...], list[str]] = {}
    for tens_text, ones_found in digits.items():
        alike.setdefault(tuple(ones_found), []).append(tens_text)
    found: list[str] = []
    for ones_alike, heads in alike.items():
        short = [head for head in heads if len(head) <= 1 and head]
        others = [head for head in heads if head not in short]
        tail = _class(ones_alike)
        found += [head + tail for head in others]
        if short:
            found.append(_class([int(head) for head in short]) + tail)
    found.sort(key=lambda each: (len(re.sub(r"\[[^]]*\]", "0", each)), each))
    return found[0] if len(found) == 1 else f"({'|'.join(found)})"


def _class(digits: Sequence[int]) -> str:
    if len(digits) == 1:
        return str(digits[0])
    text, at = "", 0
    while at < len(digits):
        end = at
        while end + 1 < len(digits) and digits[end + 1] == digits[end] + 1:
            end += 1
        text += str(digits[at]) if end == at else f"{digits[at]}{'-' if end > at + 1 else ''}{digits[end]}"
        at = end + 1
    return f"[{text}]"


def _heads(
    stack: str, layers: set[int], forbidden: Sequence[str], modules: Mapping[str, tuple[str, int, str]]
) -> Iterator[str]:
    """What stands before the part in a layer: nothing that tells the layer, any layer, or the layers by number."""
    place = re.escape(stack)
    yield r".*\."
    yield rf"{place}\.\d+\."
    yield rf"{place}\.{number_pattern(layers)}\."
    # layers that a longer list may as well name, because all that it would mean there is decided before
    bad = {modules[module][1] for module in forbidden if module in modules and modules[module][0] == stack}
    known = {number for one, number, _ in modules.values() if one == stack}
    if more := known - bad:
        yield rf"{place}\.{number_pattern(layers | more)}\."


def _tails(parts: Sequence[str]) -> Iterator[str]:
    """What stands behind the layer: everything, all of some parents, or the parts themselves."""
    yield ".*"
    parents = list(dict.fromkeys(part.rpartition(".")[0] for part in parts))
    if all(parents):
        tops = list(dict.fromkeys(parent.partition(".")[0] for parent in parents))
        yield rf"{_either(map(re.escape, tops))}\..*"
        yield rf"{re.escape(_common(parents))}\..*"
        if len(parents) <= MOST:
            yield rf"{_either(map(re.escape, parents))}\..*"
    if len(parts) <= MOST * MOST:
        yield f"{_by_parent(parts)}$"
        yield f"{_either(map(re.escape, parts))}$"
    leaves = list(dict.fromkeys(part.rpartition(".")[2] for part in parts))
    yield f"{_leaves(leaves)}$"
    yield rf".*\.{_leaves(leaves)}$"
    yield f"{_either(dict.fromkeys(map(_with_all_experts, parts)))}$"


def _place(module: str) -> tuple[int, str]:
    """Where a module's last part stands in the order in which people name them."""
    leaf = module.rpartition(".")[2]
    return next((at for at, known in enumerate(ORDER) if leaf == f"{known}_proj"), len(ORDER)), module


def _common(names: Sequence[str]) -> str:
    """The parts that all names begin with; all of the first where they have none in common."""
    split = [name.split(".") for name in names]
    alike = []
    for each in zip(*split, strict=False):
        if len(set(each)) > 1:
            break
        alike.append(each[0])
    return ".".join(alike) or names[0]


def _by_parent(parts: Sequence[str]) -> str:
    leaves: dict[str, list[str]] = {}
    for part in parts:
        parent, _, leaf = part.rpartition(".")
        leaves.setdefault(parent, []).append(leaf)
    return _either((re.escape(parent) + r"\." if parent else "") + _leaves(found) for parent, found in leaves.items())


def _leaves(leaves: Sequence[str]) -> str:
    """``[qkv]_proj``, ``(gate|up)_proj``, ``(c_attn|c_proj)``."""
    found = [ALTERNATIVES.fullmatch(leaf) for leaf in leaves]
    if len(leaves) > 1 and all(found):
        return f"{_either(each[1] for each in found if each is not None)}_proj"
    return _either(map(re.escape, leaves))


def _either(texts: Iterable[str]) -> str:
    each = list(dict.fromkeys(texts))
    if len(each) == 1:
        return each[0]
    if all(len(text) == 1 and text.isalnum() for text in each):
        return f"[{''.join(each)}]"
    return f"({'|'.join(each)})"


def _with_all_experts(part: str) -> str:
    head, below, _ = part.partition(f".{EXPERTS}.")
    return re.escape(f"{head}{below}") + ".*" if below else re.escape(part)
