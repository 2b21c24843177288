"""The plugin manager: finds installed plugins by entry point and asks their hooks.

Loads entry points one by one, so that an error names the distribution that has to be mended.
No state at module level: two engines in one process may have different plugins.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import cast

import pluggy

from aion_core import hookspecs
from aion_core.contracts import EventStore, StoreProvider
from aion_core.errors import ConfigError, PluginError

__all__ = ["PluginManager"]


class PluginManager:
    """The plugins of one engine.

    Args:
        disabled: entry-point names that are passed over.
    """

    def __init__(self, *, disabled: Collection[str] = ()) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._disabled = frozenset(disabled)
        self._origins: dict[str, str] = {}

    @classmethod
    def installed(cls, *, disabled: Collection[str] = ()) -> PluginManager:
        """A manager with every plugin that is installed.

        Raises:
            PluginError: one of them cannot be loaded; names its distribution.
        """
        manager = cls(disabled=disabled)
        manager.load(entry_points(group=hookspecs.PROJECT))
        return manager

    def load(self, points: Iterable[EntryPoint]) -> None:
        """Import and register plugins, in order of their names."""
        for point in sorted(points, key=lambda found: found.name):
            if point.name in self._disabled:
                continue
            try:
                plugin = point.load()
            except Exception as error:
                raise PluginError(
                    f"plugin {_origin(point)} cannot be imported: {error}; "
                    "repair or uninstall that distribution"
                ) from error
            self.register(plugin, name=point.name, origin=_origin(point))

    def register(self, plugin: object, *, name: str | None = None, origin: str = "") -> None:
        """Add a plugin: a module or object with hook implementations.

        Raises:
            PluginError: the name is taken, or a hook does not exist or has other parameters.
        """
        origin = origin or repr(name or plugin)
        try:
            registered = self._pluggy.register(plugin, name)
            try:
                self._pluggy.check_pending()
            except pluggy.PluginValidationError:
                self._pluggy.unregister(plugin)
                raise
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"plugin {origin}: {error}{self._suggestion(plugin)}") from error
        if registered is not None:
            self._origins[registered] = origin

    def stores(self) -> dict[str, StoreProvider | str]:
        """Every offered store by URL scheme.

        Raises:
            PluginError: two plugins claim one scheme, or one of them fails.
        """
        merged: dict[str, StoreProvider | str] = {}
        owner: dict[str, str] = {}
        for implementation in self._pluggy.hook.aion_stores.get_hookimpls():
            origin = self._origins[implementation.plugin_name]
            try:
                answer = cast("Mapping[str, StoreProvider | str]", implementation.function())
                offered = dict(answer)
            except Exception as error:
                raise PluginError(
                    f"plugin {origin} failed to say which stores it offers: {error}; "
                    "repair or disable it"
                ) from error
            for scheme, provider in offered.items():
                if scheme in merged:
                    raise PluginError(
                        f"the plugins {owner[scheme]} and {origin} both serve {scheme + ':'!r}; "
                        "disable one of them"
                    )
                merged[scheme], owner[scheme] = provider, origin
        return merged

    def open_store(self, url: str) -> AbstractAsyncContextManager[EventStore]:
        """Open the store that a URL names.

        Raises:
            ConfigError: it is no URL, or no installed plugin serves its scheme.
            PluginError: the place that the plugin names cannot be imported.
        """
        scheme, colon, _ = url.partition(":")
        if not colon or not scheme.isidentifier():
            raise ConfigError(f"{url!r} is not a store URL; write for example 'sqlite:///aion.db'")
        stores = self.stores()
        provider = stores.get(scheme)
        if provider is None:
            names = ", ".join(sorted(stores)) or "none"
            raise ConfigError(
                f"no installed plugin serves '{scheme}:' (installed: {names}); "
                f"pip install aion-workflow-store-{scheme}"
            )
        return _resolved(scheme, provider).open(url)

    def _suggestion(self, plugin: object) -> str:
        known = [name for name in dir(hookspecs) if name.startswith("aion_")]
        for name in dir(plugin):
            close = get_close_matches(name, known, 1) if name.startswith("aion_") else []
            if close and name not in known:
                return f" (did you mean {close[0]!r} instead of {name!r}?)"
        return ""


def _origin(point: EntryPoint) -> str:
    distribution = point.dist
    if distribution is None:
        return f"{point.name!r} ({point.value})"
    return f"{point.name!r} ({point.value}) of {distribution.name} {distribution.version}"


def _resolved(scheme: str, provider: StoreProvider | str) -> StoreProvider:
    if isinstance(provider, StoreProvider):
        return provider
    try:
        module, _, attribute = provider.partition(":")
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # what is imported runs, and may do anything
        raise PluginError(f"the store for '{scheme}:' is not at {provider!r}: {error}") from error
    if not isinstance(found, StoreProvider):
        raise PluginError(f"{provider!r}, given for '{scheme}:', is not a StoreProvider")
    return found
