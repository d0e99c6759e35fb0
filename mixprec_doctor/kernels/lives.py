"""Lives: what an engine does with one linear layer from its config to its forward pass, evaluated step by step."""

from __future__ import annotations

__all__ = ["Life", "NoRoute", "Stage"]

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixprec_doctor.kernels.checkpoints import Origin, scheme_arguments
from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.objects import find_in_class, make
from mixprec_doctor.kernels.values import Class, External, Instance, Unknown
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.records.workload import LinearShape


class NoRoute(Exception):
    """The engine does not take the format this way."""


@dataclass(frozen=True)
class Stage:
    """The objects of one life: the layer and the engine's method for it."""

    layer: Instance
    method: Instance


class Life:
    """One layer in one engine. ``made`` and ``served`` are evaluated anew on each path."""

    def __init__(
        self,
        ev: Evaluator,
        roles: Callable[[Role], Resolution],
        *,
        origin: Origin,
        format: Format,
        shape: LinearShape,
        dtype: str,
    ) -> None:
        self._ev, self._roles, self._origin = ev, roles, origin
        self._format, self._shape, self._dtype = format, shape, dtype

    @property
    def owner(self) -> Class | None:
        """The class that stands for the format: the scheme, or the linear method."""
        if self._origin.scheme:
            return self._scheme()
        return self._class(self._origin.method)

    @property
    def config(self) -> Class | None:
        """The class that reads the checkpoint's own words."""
        return self._class(self._origin.config)

    def made(self) -> Stage:
        """The method with the layer's weights created: where engines choose a kernel."""
        layer = self._layer()
        method = self._method(layer)
        shape = self._shape
        words = {
            "layer": layer,
            "input_size_per_partition": shape.inputs,
            "output_partition_sizes": list(shape.outputs),
            "input_size": shape.full_inputs,
            "output_size": sum(shape.full_outputs),
            "params_dtype": External(f"torch.{self._dtype}"),
            "weight_loader": Unknown("the weight loader"),
        }
        self._call(method, "create_weights", words)
        return Stage(layer, method)

    def served(self, stage: Stage) -> None:
        """Weights repacked, and one forward pass."""
        ev, layer, method = self._ev, stage.layer, stage.method
        ev.method(method, "process_weights_after_loading", layer)
        dtype = External(f"torch.{self._dtype}")
        name = "apply" if method.of is not None and find_in_class(method.of, "apply") is not None else "apply_weights"
        rows = Unknown("the rows of the input")
        x = Instance(None, {"dtype": dtype, "shape": (rows, self._shape.inputs)}, open=True, name="x")
        ev.call(ev.attribute(method, name), [layer, x, None])

    def _method(self, layer: Instance) -> Instance:
        if self._origin.scheme:
            scheme = self._scheme()
            if scheme is None:
                raise NoRoute(f"this release has no {' or '.join(self._origin.scheme)}")
            return self._instance(scheme, scheme_arguments(self._format))
        if self._origin.config is None:
            plain = self._class(self._origin.method)
            if plain is None:
                raise NoRoute("this release has no linear method for it")
            return self._instance(plain, {})
        config = self._config()
        method = self._ev.method(config, "get_quant_method", layer, "model.layers.0.mlp.down_proj")
        plain = self._class(Role.UNQUANTIZED_LINEAR_METHOD)
        if isinstance(method, Instance) and (method.of is None or method.of is not plain):
            return method  # a config that does not take the layer for quantized has not been told of all its layers
        of = self._class(self._origin.method)
        if of is None or (method is None and not self._lent(config)):
            raise NoRoute("its config has no linear method for it")
        made = self._ev.call(of, [config])
        if not isinstance(made, Instance):
            raise NoRoute(f"{of.name} cannot be read")
        return made

    def _lent(self, config: object) -> bool:
        """Whether a config is another package's, which knows its own layers and is told of these while it runs."""
        own = self._class(Role.LINEAR_BASE)
        if own is None or not isinstance(config, Instance) or config.of is None:
            return False
        return config.of.parsed.name.partition(".")[0] != own.parsed.name.partition(".")[0]

    def _config(self) -> object:
        of = self.config
        if of is None:
            raise NoRoute("this release has no config class for it")
        return self._ev.method(of, "from_config", dict(self._origin.words))

    def _instance(self, of: Class, given: dict[str, object]) -> Instance:
        found = find_in_class(of, "__init__")
        words = given
        if found is not None and isinstance(found[0], ast.FunctionDef):
            arguments = found[0].args
            names = {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}
            words = {key: each for key, each in given.items() if key in names}
        made = make(self._ev, of, [], words)
        if not isinstance(made, Instance):
            raise NoRoute(f"{of.name} cannot be read")
        return made

    def _call(self, method: Instance, name: str, words: dict[str, Any]) -> None:
        bound = self._ev.attribute(method, name)
        node = getattr(getattr(bound, "function", None), "node", None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.args.kwarg is None:
            names = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
            words = {key: each for key, each in words.items() if key in names}
        self._ev.call(bound, [], words)

    def _layer(self) -> Instance:
        column = self._class(Role.ROW_PARALLEL_LINEAR if self._shape.partition == "row" else Role.LINEAR_BASE)
        layer = Instance(column, {"bias": None}, open=True, name="layer")
        shape = self._shape
        layer.attributes |= {
            "input_size": shape.full_inputs,
            "output_size": sum(shape.full_outputs),
            "input_size_per_partition": shape.inputs,
            "output_size_per_partition": shape.out,
            "output_partition_sizes": list(shape.outputs),
            "logical_widths": list(shape.outputs),
            "params_dtype": External(f"torch.{self._dtype}"),
            "orig_dtype": External(f"torch.{self._dtype}"),
            "prefix": "model.layers.0.mlp.down_proj",
        }
        return layer

    def _class(self, role: Role | None) -> Class | None:
        found = self._roles(role) if role is not None else None
        if found is None or found.module is None or found.name is None or not self._ev.names.follows(found.module):
            return None
        module, name = found.module, found.name
        made = self._ev.once(lambda: self._ev.names.look_up(module, name))
        return made if isinstance(made, Class) else None

    def _scheme(self) -> Class | None:
        config = self._roles(Role.COMPRESSED_TENSORS_CONFIG)
        if config.module is None:
            return None
        package = f"{config.module.rpartition('.')[0]}.schemes"
        for name in self._origin.scheme:
            found = self._ev.once(lambda name=name: self._ev.names.look_up(package, name))  # type: ignore[misc]
            if isinstance(found, Class):
                return found
        return None
