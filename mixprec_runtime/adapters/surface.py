"""Surface: what replacing and filling the layers of a live model ask of an engine's adapter."""

from __future__ import annotations

__all__ = ["Surface"]

from collections.abc import Callable, Container, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.strict import Place

if TYPE_CHECKING:
    from mixprec_runtime.adapters.mixed_linear import MixedLinear


@dataclass(frozen=True, kw_only=True)
class Surface:
    """One engine's classes and habits, by what they are for."""

    engine: str
    config: type[Mixture]
    linear: type[torch.nn.Module]  # the base class of linear layers
    single: Callable[..., torch.nn.Module]  # a layer of one part, whole on every rank
    united: Callable[..., torch.nn.Module]  # a layer of several parts, cut along its outputs
    mixed: Callable[[], type[MixedLinear]]
    newer_loaders: Container[str]  # the names of linear methods whose parameters have loaders of their own
    rename: Callable[[Any, torch.nn.Module], None]  # a fresh config, by the names of a model's layers
    surroundings: Callable[[str, torch.dtype], AbstractContextManager[None]]  # a base model's folder, what is served
    place: Callable[[], Place]
    elsewhere: Callable[[str, torch.nn.Module], bool]
    kept: Callable[[torch.nn.Module], Mapping[str, str]]
    finish: Callable[[torch.nn.Module, torch.device, torch.dtype], None]  # all of a model that was filled
