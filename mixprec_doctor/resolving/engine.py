"""An engine's source, opened once and asked many times."""

from __future__ import annotations

__all__ = ["EngineSource", "open_engine"]

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.resolution import Resolution, SymbolResolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.layout import Layout, find_layout
from mixprec_doctor.resolving.roles import RoleResolver
from mixprec_doctor.resolving.symbols import package_paths, scoped_paths, search_symbol
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.sources import Sources

if TYPE_CHECKING:
    from mixprec_doctor.resolving.needs import NeedFinder


class EngineSource:
    """Roles and symbols of one engine. Each module is parsed once, and only when a question needs it.

    A symbol that is neither in the usual places nor known there is looked for in the whole package when the
    search is to be ``thorough``; where the package must be fetched for that, it need not be.
    """

    def __init__(
        self, sources: Sources, layout: Layout, *, thorough: bool = True, environment: Environment | None = None
    ) -> None:
        self.layout = layout
        self.exports = Exports(sources)
        self._environment = environment
        self._thorough = thorough
        self._resolver = RoleResolver(self.exports, layout)

    def gather(self, *, symbols: bool) -> None:
        """Have the files at hand that questions are likely to need; those about symbols look into every package."""
        tree = self.exports.sources.tree(self.layout.engine)
        if tree is not None:
            packages = package_paths(tree, self.layout) if symbols else ()
            tree.prefetch([*scoped_paths(tree, self.layout), *packages])

    def role(self, role: Role) -> Resolution:
        """Where one role lives."""
        return self._resolver.resolve(role)

    def roles(self, roles: Iterable[Role] = tuple(Role)) -> tuple[Resolution, ...]:
        """Where each role lives, in the order given."""
        return tuple(self._resolver.resolve(role) for role in roles)

    def symbol(self, name: str) -> SymbolResolution:
        """Where a name is defined and importable."""
        return search_symbol(self.exports, self.layout, name, thorough=self._thorough)

    def with_needs(self, resolution: Resolution) -> Resolution:
        """The resolution with everything that importing its module needs and this environment lacks."""
        if self._environment is None or resolution.module is None:
            return resolution
        return replace(resolution, needs=self._finder.missing(resolution.module))

    @cached_property
    def _finder(self) -> NeedFinder:
        from mixprec_doctor.resolving.needs import NeedFinder

        return NeedFinder(self.exports, self._environment, engine=self.layout.engine)


def open_engine(environment: Environment, engine: str) -> EngineSource:
    """The source of an engine as installed in an environment."""
    return EngineSource(Sources.of_environment(environment), find_layout(engine), environment=environment)
