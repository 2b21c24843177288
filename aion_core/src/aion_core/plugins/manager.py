"""The plugin manager: what an engine, a client or a command asks of plugins."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any, cast

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    EngineView,
    EventStore,
    LiveExecutor,
    Observer,
    RecoveryDriver,
    SeamContext,
    StoreProvider,
)
from aion_core.errors import ConfigError, PluginError
from aion_core.payloads import PayloadCodec, PayloadConverter
from aion_core.plugins.kinds import CODEC, DRIVER, EXECUTOR, KINDS, SEAM, STORE, Kind
from aion_core.plugins.listing import PluginInfo
from aion_core.plugins.offers import Offer, choose, choose_scheme, refuse_clash
from aion_core.plugins.origin import Origin, blamed
from aion_core.plugins.registry import PluginRegistry
from aion_core.suggestions import did_you_mean, nearest

__all__ = ["PluginManager"]


class PluginManager(PluginRegistry):
    """The plugins of one engine.

    Where a method takes settings they are those of all plugins, in tables by the names of the
    plugins; each plugin is handed its own table, an empty one when it has none.
    """

    @classmethod
    def installed(cls, *, disabled: Collection[str] | None = None) -> PluginManager:
        """A manager with every plugin that is installed.

        Args:
            disabled: names that are passed over; when None, those that the environment variable
                ``AION_DISABLE_PLUGINS`` lists, separated by commas.

        Raises:
            PluginError: one of them cannot be loaded; names its distribution.
        """
        if disabled is None:
            listed = os.environ.get("AION_DISABLE_PLUGINS", "").split(",")
            disabled = [name.strip() for name in listed if name.strip()]
        manager = cls(disabled=disabled)
        manager.load_installed()
        return manager

    def stores(self) -> dict[str, StoreProvider | str]:
        """Every offered store by URL scheme, or its place.

        Raises:
            PluginError: two plugins claim one scheme, or one of them fails.
        """
        offers = self._offers(STORE)
        for scheme in {offer.name for offer in offers}:
            refuse_clash([each for each in offers if each.name == scheme], f"{{}}+{scheme}:")
        return {offer.name: cast("StoreProvider | str", offer.factory) for offer in offers}

    def open_store(self, url: str) -> AbstractAsyncContextManager[EventStore]:
        """Open the store that a URL names.

        ``plugin+scheme:…`` names one of several plugins that serve a scheme; the store is given
        the URL without its plugin.

        Raises:
            ConfigError: it is no URL, or no installed plugin serves its scheme.
            PluginError: two plugins serve it, or what serves it is not where the plugin says.
        """
        offer, own_url = choose_scheme(url, self._offers(STORE), self._passed_over())
        provider = cast("StoreProvider", offer.checked(offer.found()))
        return provider.open(own_url)

    def store_exists(self, url: str) -> bool | None:
        """Whether there is a store at a URL; None where its plugin cannot say. As `open_store`."""
        offer, own_url = choose_scheme(url, self._offers(STORE), self._passed_over())
        exists = cast("StoreProvider", offer.checked(offer.found())).exists
        return None if exists is None else exists(own_url)

    def executor(self, name: str, context: SeamContext) -> LiveExecutor:
        """Make the executor of a name: ``name``, or ``plugin:name``.

        Args:
            context: with the settings of all plugins.

        Raises:
            ConfigError: no installed plugin offers it, or it cannot use its settings.
            PluginError: two plugins offer it, or its factory fails or makes something else.
        """
        return cast("LiveExecutor", self._part(EXECUTOR, name, context))

    def recovery_driver(self, name: str, context: SeamContext) -> RecoveryDriver:
        """Make the recovery driver of a name; as `executor`."""
        return cast("RecoveryDriver", self._part(DRIVER, name, context))

    def recovery_seam(self, name: str, context: SeamContext) -> ActiveWorkflowRecoverySeam:
        """Make the recovery seam of a name; as `executor`."""
        return cast("ActiveWorkflowRecoverySeam", self._part(SEAM, name, context))

    def payload_codecs(
        self, names: Sequence[str], settings: Mapping[str, object]
    ) -> list[PayloadCodec]:
        """Make the payload codecs of these names, in their order; as `executor`."""
        offers = self._offers(CODEC) if names else []
        chosen = [choose(CODEC, name, offers, self._passed_over()) for name in names]
        return [
            cast("PayloadCodec", offer.made(_table(settings, offer.origin))) for offer in chosen
        ]

    def workflows(self) -> list[Workflow[..., Any] | ModuleType]:
        """The workflows of installed applications, as ``open_engine`` takes them.

        Raises:
            PluginError: a plugin fails, or gives something else.
        """
        return [
            each
            for origin, answer in self.contributions("aion_workflows")
            for each in _items(origin, answer, (Workflow, ModuleType), "workflows or modules")
        ]

    def observers(self, settings: Mapping[str, object]) -> list[tuple[str, Observer]]:
        """The observers, each with the name of its plugin.

        Raises:
            ConfigError: a plugin cannot use its settings.
            PluginError: a plugin fails, or gives something else.
        """
        found = []
        for origin, hook in self._implementations("aion_observers"):
            answer = self._call(origin, hook, {"settings": _table(settings, origin)})
            items = _items(origin, answer, (Observer,), "observers")
            found += [(origin.name, observer) for observer in items]
        return found

    def configure_converter(self, converter: PayloadConverter) -> None:
        """Let every plugin teach the converter its types.

        Raises:
            PluginError: one of them fails.
        """
        self.contributions("aion_configure_converter", converter=converter)

    def engine_starting(self, view: EngineView) -> None:
        """Tell every plugin that an engine is about to run.

        Whatever is raised, those told before have then been told that the engine has stopped:
        `engine_stopped` is not to be called.

        Raises:
            ConfigError: a plugin cannot use its settings.
            PluginError: one of them failed.
        """
        failing = ""
        try:
            for origin, hook in self._implementations("aion_engine_starting"):
                failing = origin.name
                self._call(origin, hook, {"engine": view})
        except BaseException as error:
            # What the failing one had begun it has to end itself: only it knows how far it came.
            for other in self._tell_stopped(view, lambda name: name < failing):
                error.add_note(str(other))
            raise

    def engine_stopped(self, view: EngineView) -> None:
        """Tell every plugin that an engine has stopped, whatever the others raise.

        Raises:
            PluginError: the first that failed; the others are its notes.
        """
        errors = self._tell_stopped(view, lambda name: True)
        for other in errors[1:]:
            errors[0].add_note(str(other))
        if errors:
            raise errors[0]

    def provider(self, kind: Kind, name: str) -> Origin:
        """The plugin whose part a name means, without making the part.

        Args:
            name: ``name`` or ``plugin:name``; of a store its URL.

        Raises:
            ConfigError: no installed plugin offers it.
            PluginError: two plugins do, or one fails to say what it offers.
        """
        offers, disabled = self._offers(kind), self._passed_over()
        if kind is STORE:
            return choose_scheme(name, offers, disabled)[0].origin
        return choose(kind, name, offers, disabled).origin

    def check_settings(self, settings: Mapping[str, object]) -> None:
        """Refuse settings of plugins that are not there: who wrote them believes that they act.

        Raises:
            ConfigError: a table's name is that of no installed plugin, disabled ones included.
        """
        installed = self._origins.keys() | self._unused.keys()
        for name in settings:
            if name not in installed | self._disabled:
                way_out = did_you_mean(name, installed, otherwise="install it, or remove them")
                raise ConfigError(
                    f"there are settings for the plugin {name!r}, which is not installed "
                    f"(installed: {', '.join(sorted(installed)) or 'none'}); {way_out}"
                )

    def check_disabled(self) -> list[str]:
        """Refuse slips of the fingers among the names that are passed over: who wrote one believes
        that the plugin which is meant does not act.

        Returns:
            Names of nothing installed that are like no plugin's: they change nothing.

        Raises:
            ConfigError: a name is not installed, but nearly that of a plugin which acts.
        """
        unknown = sorted(self._disabled - self._origins.keys() - self._unused.keys())
        for name in unknown:
            close = nearest(name, self._origins, likeness=0.8)
            if close is not None:
                raise ConfigError(
                    f"the plugin {name!r} is to be disabled, but is not installed; did you mean "
                    f"{close!r}?"
                )
        return unknown

    def listing(self) -> tuple[PluginInfo, ...]:
        """Every plugin in order of names: what it offers, and what is wrong with it.

        Imports nothing that is offered by its place. Raises nothing.
        """
        used = [self._info(origin) for origin in self._origins.values()]
        return tuple(sorted([*used, *self._unused.values()], key=lambda info: info.origin.name))

    def _info(self, origin: Origin) -> PluginInfo:
        callers = self._pluggy.get_hookcallers(self._pluggy.get_plugin(origin.name)) or ()
        info = PluginInfo(origin=origin, hooks=tuple(sorted(caller.name for caller in callers)))
        offers: dict[str, tuple[str, ...]] = {}
        for kind in KINDS:
            try:
                names = [o.name for o in self._offers(kind, of=origin)]
            except (PluginError, ConfigError) as error:
                return attrs.evolve(info, error=str(error))
            if names:
                offers[kind.noun] = tuple(sorted(names))
        return attrs.evolve(info, offers=offers)

    def _offers(self, kind: Kind, *, of: Origin | None = None) -> list[Offer]:
        return [
            Offer(kind, name, origin, factory)
            for origin, hook in self._implementations(kind.hook)
            if of is None or origin == of
            for name, factory in _mapping(origin, kind.hook, self._call(origin, hook, {})).items()
        ]

    def _passed_over(self) -> list[str]:
        return [name for name, info in self._unused.items() if info.disabled]

    def _part(self, kind: Kind, name: str, context: SeamContext) -> object:
        offer = choose(kind, name, self._offers(kind), self._passed_over())
        return offer.made(attrs.evolve(context, settings=_table(context.settings, offer.origin)))

    def _tell_stopped(
        self, view: EngineView, concerned: Callable[[str], bool]
    ) -> list[PluginError]:
        errors: list[PluginError] = []
        for origin, hook in reversed([*self._implementations("aion_engine_stopped")]):
            if concerned(origin.name):
                try:
                    self._call(origin, hook, {"engine": view})
                except PluginError as error:
                    errors.append(error)
                except ConfigError as error:
                    # Nobody can configure what has ended.
                    errors.append(PluginError(str(error)))
        return errors


def _table(settings: Mapping[str, object], origin: Origin) -> Mapping[str, object]:
    table = settings.get(origin.name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"the settings of plugin {origin} are a {type(table).__name__}, not a table; write "
            f"them as [plugin.{origin.name}]"
        )
    return table


def _mapping(origin: Origin, hook: str, answer: object) -> Mapping[str, object]:
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        raise PluginError(
            f"plugin {origin} answers {hook} by a {type(answer).__name__}, not by a mapping from "
            "names; repair or disable it"
        )
    return answer


def _items(origin: Origin, answer: object, types: tuple[type, ...], wanted: str) -> Iterable[Any]:
    if not isinstance(answer, Iterable):
        raise PluginError(
            f"plugin {origin} gives a {type(answer).__name__}, not a list of {wanted}; "
            "repair or disable it"
        )
    # A hook may be a generator, and then its code runs here.
    with blamed(origin, f"failed to give its {wanted}", "repair or disable it"):
        items = [*answer]
    for each in items:
        if not isinstance(each, types):
            raise PluginError(
                f"plugin {origin} gives a {type(each).__name__} among its {wanted}; "
                "repair or disable it"
            )
    return items
