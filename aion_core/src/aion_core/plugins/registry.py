"""The plugins that are loaded, and how their hooks are called.

Loads entry points one by one, so that an error names the distribution that has to be mended.
No state at module level: two engines in one process may have different plugins.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from aion_core import hookspecs
from aion_core.errors import ConfigError, PluginError
from aion_core.plugins.listing import PluginInfo
from aion_core.plugins.origin import Origin, blamed
from aion_core.suggestions import nearest

__all__ = ["PluginRegistry"]

_PREFIX = "aion_"


class PluginRegistry:
    """Plugins by name.

    Args:
        disabled: names that are passed over.
    """

    def __init__(self, *, disabled: Collection[str] = ()) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._disabled = set(disabled)
        self._origins: dict[str, Origin] = {}
        self._unused: dict[str, PluginInfo] = {}

    def load(self, points: Iterable[EntryPoint], *, tolerant: bool = False) -> None:
        """Import and register plugins, in order of their names.

        Args:
            tolerant: one that is broken is not used, and listed with its error.

        Raises:
            PluginError: one of them cannot be imported or registered, unless tolerant.
        """
        for point in sorted(points, key=lambda found: found.name):
            origin = Origin.of(point)
            if point.name in self._disabled:
                self._unused[point.name] = PluginInfo(origin=origin, disabled=True)
                continue
            try:
                with blamed(origin, "cannot be imported", "repair or uninstall that distribution"):
                    plugin = point.load()
                self._register(plugin, origin)
            except (PluginError, ConfigError) as error:
                if not tolerant:
                    raise
                self._unused[point.name] = PluginInfo(origin=origin, error=str(error))

    def load_installed(self, *, tolerant: bool = False) -> None:
        """Import and register every plugin that is installed; as `load`."""
        self.load(entry_points(group=hookspecs.PROJECT), tolerant=tolerant)

    def register(self, plugin: object, *, name: str | None = None) -> None:
        """Add a plugin by hand: a module or object with hook implementations.

        Args:
            name: what the configuration calls it; when not given, that of the module or class.

        Raises:
            PluginError: the name is taken, or a hook does not exist or has other parameters.
        """
        if name is None:
            name = getattr(plugin, "__name__", type(plugin).__name__)
        origin = Origin(name=name)
        if name in self._disabled:
            self._unused[name] = PluginInfo(origin=origin, disabled=True)
        else:
            self._register(plugin, origin)

    def block(self, name: str) -> None:
        """Use a plugin no more, be it loaded already or still to come."""
        self._disabled.add(name)
        origin = self._origins.pop(name, None)
        if origin is not None:
            self._pluggy.unregister(name=name)
            self._unused[name] = PluginInfo(origin=origin, disabled=True)

    def add_hookspecs(self, module: ModuleType) -> None:
        """Let plugins implement the hooks that another package specifies.

        Raises:
            PluginError: a plugin that is there already implements one of them wrongly.
        """
        try:
            self._pluggy.add_hookspecs(module)
        except pluggy.PluginValidationError as error:
            name = self._pluggy.get_name(error.plugin) or ""
            raise PluginError(
                f"plugin {self._origins[name]}: {error}; repair or disable it"
            ) from error

    def implementers(self, hook: str) -> list[Origin]:
        """The plugins that implement a hook, in order of names."""
        return [origin for origin, _ in self._implementations(hook)]

    def ask(self, origin: Origin, hook: str, **arguments: object) -> Any:
        """Call one plugin's implementation of a hook.

        Raises:
            ConfigError: the plugin cannot use its settings.
            PluginError: it fails; names it.
        """
        (implementation,) = (own for each, own in self._implementations(hook) if each == origin)
        return self._call(origin, implementation, arguments)

    def contributions(self, hook: str, **arguments: object) -> list[tuple[Origin, Any]]:
        """Call every plugin's implementation of a hook, in order of names; as `ask`."""
        return [
            (origin, self._call(origin, implementation, arguments))
            for origin, implementation in self._implementations(hook)
        ]

    def _implementations(self, hook: str) -> Iterator[tuple[Origin, pluggy.HookImpl]]:
        found: Sequence[pluggy.HookImpl] = getattr(self._pluggy.hook, hook).get_hookimpls()
        for implementation in sorted(found, key=lambda each: each.plugin_name):
            yield self._origins[implementation.plugin_name], implementation

    def _call(
        self, origin: Origin, implementation: pluggy.HookImpl, arguments: Mapping[str, object]
    ) -> Any:
        # An implementation may take fewer parameters than the specification has.
        taken = {name: arguments[name] for name in implementation.argnames}
        hook = implementation.function.__name__
        with blamed(origin, f"failed in {hook}", "repair or disable it"):
            return implementation.function(**taken)

    def _register(self, plugin: object, origin: Origin) -> None:
        former = self._origins.get(origin.name)
        if former is not None:
            raise PluginError(
                f"the plugins {former} and {origin} have the same name; uninstall one of them, or "
                "have one renamed"
            )
        try:
            self._pluggy.register(plugin, origin.name)
            try:
                self._check(plugin)
            except BaseException:
                self._pluggy.unregister(plugin)
                raise
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"plugin {origin}: {error}{self._hint(plugin)}") from error
        self._origins[origin.name] = origin

    def _check(self, plugin: object) -> None:
        """Refuse what pluggy would pass over, or call in a way that nobody expects."""
        self._pluggy.check_pending()
        callers = self._pluggy.get_hookcallers(plugin) or ()
        for name in self._specified() - {caller.name for caller in callers}:
            if callable(getattr(plugin, name, None)):
                raise ValueError(f"its {name!r} is not marked; write @hookimpl before it")
        if not callers:
            raise ValueError("it implements no hook; write functions marked @hookimpl")
        for caller in callers:
            for each in caller.get_hookimpls():
                if each.plugin is plugin:
                    _refuse_other_than_plain(caller.name, each)

    def _hint(self, plugin: object) -> str:
        """What to write instead of a hook that nobody calls."""
        known = {name.removeprefix(_PREFIX) for name in self._specified()}
        for name in dir(plugin):
            word = name.removeprefix(_PREFIX)  # which makes all of them alike
            if name.startswith(_PREFIX) and word not in known:
                close = nearest(word, known)
                if close is not None:
                    return f" (did you mean {_PREFIX + close!r} instead of {name!r}?)"
                return f" (if another package calls {name!r}, mark it hookimpl(optionalhook=True))"
        return ""

    def _specified(self) -> set[str]:
        callers = vars(self._pluggy.hook).values()
        return {each.name for each in callers if isinstance(each, pluggy.HookCaller) and each.spec}


def _refuse_other_than_plain(hook: str, implementation: pluggy.HookImpl) -> None:
    if implementation.wrapper or implementation.hookwrapper:
        raise ValueError(
            f"it implements {hook!r} as a wrapper, and no plugin may change what another one "
            "answers; implement it as a plain function"
        )
    if inspect.iscoroutinefunction(implementation.function):
        raise ValueError(
            f"it implements {hook!r} as an async function, and hooks are not awaited; write it "
            "with a plain def"
        )
