"""EngineKernels: an engine's source and compiled libraries, read lazily and asked which kernels serve a layer."""

from __future__ import annotations

__all__ = ["EngineKernels", "open_kernels"]

import re
from collections.abc import Iterable
from pathlib import Path

from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.kernels.device import Device, device_of
from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.operators import MISSING, Operators, Standing
from mixprec_doctor.kernels.outside import Outside
from mixprec_doctor.kernels.platforms import furnish
from mixprec_doctor.kernels.torchops import torch_operators
from mixprec_doctor.kernels.values import Unknown
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth

_BESIDE = {"vllm": ("vllm",), "sglang": ("sglang", "sgl_kernel", "vllm")}  # packages whose source is followed
_OWN_NAMESPACES = re.compile(r"_\w*C\w*|sgl_kernel|sgl_kernel_\w+")


class EngineKernels:
    """One engine, installed or as the tree of a release. Every module is parsed once, every library searched once."""

    def __init__(
        self, source: EngineSource, *, root: Path | None = None, version: str | None = None, build: str | None = None
    ) -> None:
        self.source = source
        self.engine = source.layout.engine
        self.version = version
        self.build = build if build is not None else self._torch_build()
        self._root = root
        self._evaluators: dict[tuple[object, ...], Evaluator] = {}
        self._operators: dict[tuple[object, ...], Operators] = {}
        self._roles: dict[Role, Resolution] = {}
        self.chosen: dict[tuple[object, ...], KernelChoice] = {}  # what was worked out before, by all that it hangs on

    def role(self, role: Role) -> Resolution:
        """Where one role lives; looked for once."""
        if role not in self._roles:
            self._roles[role] = self.source.role(role)
        return self._roles[role]

    def device(self, machine: Machine) -> Device:
        """What this build of the engine would run on."""
        return device_of(machine, self.build)

    def evaluator(self, machine: Machine) -> Evaluator:
        """The evaluator for a machine; what it worked out once it keeps."""
        device = self.device(machine)
        key = (device,)
        if key not in self._evaluators:
            sources = self.source.exports.sources
            outside = Outside(sources, device)
            made = Evaluator(self.source.exports, packages=_BESIDE.get(self.engine, (self.engine,)), outside=outside)
            furnish(made, device, vllm=self.engine == "vllm" or self._borrows_platforms(sources))
            self._evaluators[key] = made
            self._operators[key] = Operators(self._libraries(made, device))
            outside.ask = lambda space, name, count: self._registered(key, space, name)
        return self._evaluators[key]

    def missing(self, machine: Machine, operator: str, arguments: int) -> str | None:
        """Why a call of an operator would certainly fail; None where it is there, or nothing is known of it."""
        space, _, name = operator.partition("::")
        if not _OWN_NAMESPACES.fullmatch(space):
            return None
        self.evaluator(machine)
        operators = self._operators[(self.device(machine),)]
        standing = operators.standing(name)
        files = ", ".join(_short(each) for each in operators.libraries)
        if standing is Standing.ABSENT:
            return f"{MISSING}{operator} is not in {files}"
        if standing is Standing.EMPTY and arguments:
            return f"{MISSING}{operator} takes no arguments in {files}: it is registered as a placeholder"
        return None

    def torch_operators(self) -> frozenset[str] | None:
        """The names below ``torch.ops.aten`` that the installed torch has; None where no torch is at hand."""
        return torch_operators(self.source.exports.sources)

    def save(self) -> None:
        """Keep what was found in libraries for the next time."""
        for each in self._operators.values():
            each.save()

    def _borrows_platforms(self, sources: Sources) -> bool:
        own = sources.has_module(f"{self.engine}.srt.platforms") is Truth.YES
        return not own and sources.has_module("vllm.platforms") is Truth.YES

    def _registered(self, key: tuple[object, ...], space: str, name: str) -> bool | None:
        if not _OWN_NAMESPACES.fullmatch(space):
            return None
        standing = self._operators[key].standing(name)
        return None if standing is None else standing is not Standing.ABSENT

    def _libraries(self, ev: Evaluator, device: Device) -> Iterable[Path]:
        """The libraries that the engine loads on a device: those that its platform imports, else all that it has."""
        if self._root is None:
            return ()
        folders = [self._root]
        if (beside := self._beside()) is not None:
            folders.append(beside)
        there = sorted(each for folder in folders for each in folder.glob("**/*.so") if each.is_file())
        own = [each for each in there if self._root in each.parents and each.parent == self._root]
        further = [each for each in there if each not in own]
        imported = self._imported(ev)
        if imported:
            own = [each for each in own if each.name.partition(".")[0] in imported]
        beside_it = [each for each in further if each.name.partition(".")[0].endswith(("_C", "ops"))]
        return (*own, *beside_it)

    def _beside(self) -> Path | None:
        tree = self.source.exports.sources.tree("sgl_kernel") if self.engine == "sglang" else None
        place = getattr(tree, "place", None)
        return place if isinstance(place, Path) else None

    def _imported(self, ev: Evaluator) -> frozenset[str]:
        """The compiled modules that the platform's own ``import_kernels`` imports on every path."""
        platform = ev.overrides.get("current_platform")
        if platform is None or isinstance(platform, Unknown):
            return frozenset()
        outcomes, whole = ev.every_path(lambda: ev.method(platform, "import_kernels"))
        if not whole or not outcomes:
            return frozenset()
        names = [{each.rpartition(".")[2] for each in outcome.imported} for outcome in outcomes]
        return frozenset(set.union(*names))

    def _torch_build(self) -> str | None:
        """What the torch beside it was built for, as its version.py says; None where there is none."""
        text = (self.source.exports.sources.text("torch.version") or b"").decode("utf-8", errors="replace")
        found = dict(re.findall(r"(?m)^(cuda|hip)\s*(?::[^=\n]*)?=\s*(.+?)\s*$", text))
        if not found:
            return None
        for name, kind in (("hip", "rocm"), ("cuda", "cuda")):
            if found.get(name, "None") != "None":
                return kind
        return "cpu"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def open_kernels(environment: Environment, engine: str) -> EngineKernels | None:
    """The kernels of an engine as installed in an environment; None where its source is not there."""
    return _open(environment, engine)


def _open(environment: Environment, engine: str) -> EngineKernels | None:
    root = locate_package(environment, engine)
    if root is None:
        return None
    source = EngineSource(Sources.of_environment(environment), find_layout(engine), environment=environment)
    return EngineKernels(source, root=root)
