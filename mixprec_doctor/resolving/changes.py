"""Changes: what differs between two resolutions of one role."""

from __future__ import annotations

__all__ = ["compare", "ends_an_age"]

import difflib
from collections.abc import Iterable, Iterator, Sequence

from mixprec_doctor.records.matrix import Change, ChangeKind
from mixprec_doctor.records.resolution import Parameter, Resolution, Status
from mixprec_doctor.records.signature import parameter_words

_BY_POSITION = frozenset({"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"})
# A condition decides whether the import works on a machine, not what is imported.
_OF_CONDITION = frozenset({ChangeKind.BECAME_CONDITIONAL, ChangeKind.BECAME_UNCONDITIONAL})
_ALIKE = 0.6  # of two names: what difflib calls a close match


def compare(before: Resolution, after: Resolution) -> tuple[Change, ...]:
    """What changed; empty exactly when status, module, name and parameters are, and both or none are conditional.

    The text of a condition is no change: it names lines, which move in every release.
    """
    if before.status is not after.status:
        return (_of_status(before, after),)
    return (
        *_of_place(before, after),
        *_of_condition(before, after),
        *_of_parameters(before.parameters, after.parameters),
    )


def ends_an_age(changes: Iterable[Change]) -> bool:
    """Whether a role is another one after these changes, so that ``since`` begins anew."""
    return any(change.kind not in _OF_CONDITION for change in changes)


def _of_status(before: Resolution, after: Resolution) -> Change:
    kind = {
        Status.FOUND: ChangeKind.APPEARED,
        Status.PLACEHOLDER: ChangeKind.BECAME_PLACEHOLDER,
        Status.MISSING: ChangeKind.DISAPPEARED,
    }[after.status]
    return Change(kind=kind, before=before.import_line, after=after.import_line)


def _of_place(before: Resolution, after: Resolution) -> Iterator[Change]:
    if before.name != after.name:
        yield Change(kind=ChangeKind.RENAMED, before=before.name, after=after.name)
    if before.module != after.module:
        yield Change(kind=ChangeKind.MOVED, before=before.module, after=after.module)


def _of_condition(before: Resolution, after: Resolution) -> Iterator[Change]:
    if after.status is Status.FOUND and (before.condition is None) is not (after.condition is None):
        kind = ChangeKind.BECAME_CONDITIONAL if after.condition else ChangeKind.BECAME_UNCONDITIONAL
        yield Change(kind=kind, before=before.condition, after=after.condition)


def _of_parameters(before: Sequence[Parameter], after: Sequence[Parameter]) -> Iterator[Change]:
    renamed = _renamed(before, after)
    former = {renamed.get(each.name, each.name): each for each in before}  # under the new name
    present = {each.name: each for each in after}
    for old, new in renamed.items():
        yield Change(kind=ChangeKind.PARAMETER_RENAMED, parameter=new, before=old, after=new)
    for name, each in former.items():
        if name not in present:
            yield Change(kind=ChangeKind.PARAMETER_REMOVED, parameter=name, before=_word(each))
    for at, each in enumerate(after):
        if each.name not in former:
            shifts = each.kind in _BY_POSITION and any(
                later.kind in _BY_POSITION and later.name in former for later in after[at + 1 :]
            )
            kind = ChangeKind.PARAMETER_INSERTED if shifts else ChangeKind.PARAMETER_ADDED
            yield Change(kind=kind, parameter=each.name, after=_word(each))
    kept = [name for name in former if name in present]
    order = [name for name in present if name in former]
    if kept != order:
        moved = _out_of_order(kept, order)
        yield Change(kind=ChangeKind.PARAMETERS_REORDERED, parameter=", ".join(moved), before=", ".join(kept),
                     after=", ".join(order))  # fmt: skip
    for name in order:
        yield from _of_parameter(former[name], present[name])


def _of_parameter(before: Parameter, after: Parameter) -> Iterator[Change]:
    def change(kind: ChangeKind, old: str | None, new: str | None) -> Change:
        return Change(kind=kind, parameter=after.name, before=old, after=new)

    if before.kind != after.kind:
        yield change(ChangeKind.KIND_CHANGED, before.kind, after.kind)
    if (before.default, before.required) != (after.default, after.required):
        yield change(ChangeKind.DEFAULT_CHANGED, _default(before), _default(after))
    if before.annotation != after.annotation:
        yield change(ChangeKind.ANNOTATION_CHANGED, before.annotation, after.annotation)


def _renamed(before: Sequence[Parameter], after: Sequence[Parameter]) -> dict[str, str]:
    """Old names to new ones: of parameters that are the same but for the name, in the same place or alike in name."""
    old, new = [each.name for each in before], [each.name for each in after]
    pairs: dict[str, str] = {}
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "replace" or i2 - i1 != j2 - j1:
            continue
        for one, other in zip(before[i1:i2], after[j1:j2], strict=True):
            if one.name not in new and other.name not in old and _same_but_for_the_name(one, other):
                pairs[one.name] = other.name
    gone = [each for each in before if each.name not in new and each.name not in pairs]
    fresh = [each for each in after if each.name not in old and each.name not in pairs.values()]
    for one in gone:
        like = [each for each in fresh if _parts(one) == _parts(each) and _alike(one.name, each.name)]
        if like:
            pairs[one.name] = like[0].name
            fresh.remove(like[0])
    return pairs


def _same_but_for_the_name(one: Parameter, other: Parameter) -> bool:
    """A required parameter is known by its place; an optional one must also be called something like it."""
    return _parts(one) == _parts(other) and (one.required or _alike(one.name, other.name))


def _parts(parameter: Parameter) -> tuple[object, ...]:
    return parameter.kind, parameter.required, parameter.default, parameter.annotation


def _alike(one: str, other: str) -> bool:
    """Whether two names are close, or one only has words more than the other."""
    few, many = sorted((set(one.split("_")), set(other.split("_"))), key=len)
    return few <= many or difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _out_of_order(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The fewest names whose moving explains the new order."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    stayed = {name for block in matcher.get_matching_blocks() for name in before[block.a : block.a + block.size]}
    return [name for name in after if name not in stayed]


def _word(parameter: Parameter) -> str:
    """The parameter as its signature shows it, without the bare ``*`` or ``/`` beside it."""
    return next(word for word in parameter_words((parameter,)) if word not in ("*", "/"))


def _default(parameter: Parameter) -> str | None:
    return "required" if parameter.required else parameter.default
