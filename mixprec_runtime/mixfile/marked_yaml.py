"""Safe YAML that remembers where everything stood."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "Marked", "read_yaml"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mixprec_runtime.mixfile.errors import InvalidMix, MixFault
from mixprec_runtime.records.mix import Mark

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_SCALAR = 10_000  # characters; YAML 1.1 reads 1:1:1:... as one number, and takes its time over it
# What the safe constructors raise for a value that is not of its tag ("!!int ''", "!!bool maybe").
MISFITS = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A loaded document and the mark of each place in it, keyed by the path of keys and positions."""

    value: object
    marks: Mapping[Path_, Mark]

    def mark(self, path: Path_) -> Mark:
        """The mark of a path, or of the nearest place above it."""
        while path not in self.marks:
            path = path[:-1]
        return self.marks[path]


def read_yaml(file: Path) -> Marked:
    """Load a YAML file with the safe loader; raises InvalidMix for what cannot be read."""
    start = Mark(file=str(file), line=1, column=1)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)  # no look at the size first: pipes and devices have none
        if len(content) > MAX_BYTES:
            raise InvalidMix(file, (MixFault(mark=start, text=f"is longer than {MAX_BYTES:,} bytes"),))
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise InvalidMix(file, (MixFault(mark=start, text="there is no such file"),)) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidMix(file, (MixFault(mark=start, text=f"cannot be read: {fault}"),)) from fault
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise InvalidMix(file, (MixFault(mark=start, text="is empty"),))
        marks, faults = _walk(file, node)
        if faults:
            raise InvalidMix(file, tuple(faults))
        return Marked(value=loader.construct_document(node), marks=marks)
    except yaml.MarkedYAMLError as fault:
        at = fault.problem_mark or fault.context_mark
        mark = Mark(file=str(file), line=at.line + 1, column=at.column + 1) if at else start
        words = ", ".join(part for part in (fault.context, fault.problem) if part)
        raise InvalidMix(file, (MixFault(mark=mark, text=f"is no YAML: {words}"),)) from fault
    except MISFITS as fault:
        words = str(fault) or type(fault).__name__
        raise InvalidMix(file, (MixFault(mark=start, text=f"is no YAML: {words}"),)) from fault


def _walk(file: Path, root: yaml.Node) -> tuple[dict[Path_, Mark], list[MixFault]]:
    marks: dict[Path_, Mark] = {}
    faults: list[MixFault] = []
    for visited, (path, node, key) in enumerate(_nodes((), root, None)):
        at = (key or node).start_mark
        mark = Mark(file=str(file), line=at.line + 1, column=at.column + 1)
        if visited > MAX_NODES or len(path) > MAX_DEPTH:
            faults.append(MixFault(mark=mark, text="is nested or repeated (by aliases) without end"))
            break
        if key is not None and not isinstance(key, yaml.ScalarNode):
            faults.append(MixFault(mark=mark, text="a key is plain text, not a list or mapping"))
        elif any(isinstance(n, yaml.ScalarNode) and len(n.value) > MAX_SCALAR for n in (key, node)):
            faults.append(MixFault(mark=mark, text=f"is longer than {MAX_SCALAR:,} characters"))
        elif path in marks:
            faults.append(MixFault(mark=mark, text=f"key {path[-1]!r} stands here again; first {marks[path]}"))
        marks.setdefault(path, mark)
    return marks, faults


def _nodes(path: Path_, node: yaml.Node, key: yaml.Node | None) -> Iterator[tuple[Path_, yaml.Node, yaml.Node | None]]:
    yield path, node, key
    if len(path) > MAX_DEPTH:
        return
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            step = name.value if isinstance(name, yaml.ScalarNode) else "?"
            yield from _nodes((*path, step), value, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _nodes((*path, position), value, None)
