"""The tree of a live model: where each of its layers is held, and by what name a plan knows it."""

from __future__ import annotations

__all__ = ["Found", "UnknownLayers", "choose", "find_layers", "known_as", "loading_model"]

import difflib
from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any

import torch

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.planning.targets import matches

NEAR = 3  # names that are offered instead of one that no layer has


class UnknownLayers(MixprecError):
    """Names or patterns that no layer of a model answers to."""

    def __init__(self, targets: tuple[str, ...], near: tuple[str, ...]) -> None:
        super().__init__(targets, near)
        self.targets = targets
        self.near = near

    def __str__(self) -> str:
        near = f"layers with like names: {', '.join(self.near)}" if self.near else "no layer of a like name"
        return (
            f"wanted {', '.join(self.targets)}, found: {near}\n"
            "  try: a name of the checkpoint or of the engine's model, or re: and a regular expression"
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """A layer in a tree of modules, and what puts another one into each place that holds it."""

    paths: tuple[str, ...]  # all by which the tree leads to it
    layer: torch.nn.Module
    places: tuple[Callable[[torch.nn.Module], None], ...]

    @property
    def path(self) -> str:
        """The first of the paths, by which the layer is told from others."""
        return self.paths[0]


def find_layers(root: torch.nn.Module, kind: type) -> list[Found]:
    """The layers of a kind in the order of the tree, each once, whatever holds them.

    Modules hold them as children, and in lists and dicts that PyTorch does not see; one layer may have several places.
    """
    paths: dict[int, list[str]] = {}
    layers: dict[int, torch.nn.Module] = {}
    places: dict[int, list[Callable[[torch.nn.Module], None]]] = {}
    for path, value, place in _held(root):
        if isinstance(value, kind):
            paths.setdefault(id(value), []).append(path)
            layers.setdefault(id(value), value)
            places.setdefault(id(value), []).append(place)
    return [Found(paths=tuple(paths[key]), layer=layers[key], places=tuple(places[key])) for key in layers]


def _held(root: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, Callable[[torch.nn.Module], None]]]:
    seen = {id(root)}
    waiting = [("", root)]
    while waiting:
        prefix, parent = waiting.pop()
        below = []
        for name, value, place in _members(parent):
            path = f"{prefix}.{name}" if prefix else name
            yield path, value, place
            if id(value) not in seen:
                seen.add(id(value))
                below.append((path, value))
        waiting += reversed(below)


def _members(parent: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, Callable[[torch.nn.Module], None]]]:
    for name, child in list(parent._modules.items()):
        if child is not None:
            yield name, child, _putting(parent._modules, name)
    for attribute, value in list(vars(parent).items()):
        if attribute in ("_modules", "_parameters", "_buffers"):
            continue
        if isinstance(value, torch.nn.Module):  # put there round PyTorch, so that it is nobody's child
            yield attribute, value, _putting(vars(parent), attribute)
        pairs: Any = ()
        if isinstance(value, MutableSequence):
            pairs = enumerate(value)
        elif isinstance(value, MutableMapping):
            pairs = value.items()
        for key, each in list(pairs):
            if isinstance(each, torch.nn.Module):
                yield f"{attribute}.{key}", each, _putting(value, key)


def _putting(holder: Any, key: Any) -> Callable[[torch.nn.Module], None]:  # noqa: ANN401
    def put(layer: torch.nn.Module) -> None:
        holder[key] = layer

    return put


def known_as(paths: Iterable[str], layer: torch.nn.Module, config: Mixture) -> str | None:
    """The name by which a plan knows a layer: what the engine told it, or a path or an end of one; None for none.

    An end of the path counts because a model may lie within another module, or be a part of itself.
    """
    told = (getattr(getattr(layer, "mixed", None), "name", None), getattr(layer, "prefix", None))
    names = [name for name in told if isinstance(name, str) and name]
    for path in paths:
        parts = path.split(".")
        names += [".".join(parts[at:]) for at in range(len(parts))]
    return next((name for name in names if config.planned_members(name)), None)


def choose(targets: Iterable[str] | str | None, offered: dict[str, tuple[str, ...]]) -> set[str]:
    """Which of the layers are meant; ``offered`` has all names of each, the first is the key. Raises UnknownLayers.

    A target is the exact name of a layer, or ``re:`` and an expression from the start of it; None means all of them.
    """
    if targets is None:
        return set(offered)
    wanted = [targets] if isinstance(targets, str) else list(targets)
    meant: set[str] = set()
    unknown = []
    for target in wanted:
        found = {key for key, names in offered.items() if any(matches(target, name, None) for name in names)}
        if not found:
            unknown.append(target)
        meant |= found
    if unknown:
        names = [name for each in offered.values() for name in each]
        near = difflib.get_close_matches(unknown[0].removeprefix("re:"), names, n=NEAR, cutoff=0.5)
        raise UnknownLayers(tuple(unknown), tuple(dict.fromkeys(near)))
    return meant


def loading_model(root: torch.nn.Module) -> Any:  # noqa: ANN401  an engine's model
    """The engine's model in a tree: the outermost module that loads weights; the tree itself where none does."""
    waiting = [root]
    while waiting:
        module = waiting.pop(0)
        if callable(getattr(module, "load_weights", None)):
            return module
        waiting += module.children()
    return root
