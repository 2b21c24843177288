"""Hook specifications of the pluggy project ``aion``. A plugin implements the ones it needs.

Hooks are plain functions that hand over objects: nothing here is awaited. Hooks of two kinds:
*providers* map names to factories, of which the configuration chooses; of *contributions* all are
used. Only specifications belong here; `aion_core.plugins` calls the implementations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import pluggy

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    EngineView,
    LiveExecutor,
    Observer,
    RecoveryDriver,
    SeamContext,
    StoreProvider,
)
from aion_core.payloads import PayloadCodec, PayloadConverter

__all__ = [
    "PROJECT",
    "SeamFactory",
    "SettingsFactory",
    "aion_configure_converter",
    "aion_engine_starting",
    "aion_engine_stopped",
    "aion_live_executors",
    "aion_observers",
    "aion_payload_codecs",
    "aion_recovery_drivers",
    "aion_recovery_seams",
    "aion_stores",
    "aion_workflows",
    "hookimpl",
    "hookspec",
]

PROJECT = "aion"
"""Name of the pluggy project, and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks a specification. For packages that let themselves be extended, as the CLI does."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's implementation of a hook."""

T = TypeVar("T")

SeamFactory: TypeAlias = Callable[[SeamContext], T]
"""Makes a part of an engine. Raises `ConfigError` for settings that it cannot use."""

SettingsFactory: TypeAlias = Callable[[Mapping[str, object]], T]
"""Makes a part from the plugin's own settings. Raises `ConfigError` as well."""


@hookspec
def aion_stores() -> Mapping[str, StoreProvider | str]:  # type: ignore[empty-body]
    """Offer stores: a mapping from URL scheme (``sqlite``) to a provider.

    Instead of a provider the value may be its place, ``"package.module:attribute"``, which is
    imported only when a URL of that scheme is opened.

    When it is called: before a store is opened by URL, and when plugins are listed; each time
    anew. The scheme of the URL chooses. If two plugins claim it, the URL has to name one of them:
    ``plugin+scheme:…``.
    """


@hookspec
def aion_live_executors() -> Mapping[str, SeamFactory[LiveExecutor] | str]:  # type: ignore[empty-body]
    """Offer executors of activities: a mapping from name to factory, or its place.

    The factory gets a `SeamContext` with this plugin's settings.

    When it is called: once for each engine that is opened, before the engine takes the store and
    recovers its runs, and when plugins are listed. The configured ``executor`` chooses, and only
    its factory is called, once. If two plugins claim the name, it has to be written
    ``plugin:name``.
    """


@hookspec
def aion_recovery_drivers() -> Mapping[str, SeamFactory[RecoveryDriver] | str]:  # type: ignore[empty-body]
    """Offer drivers, which turn a history into commands: a mapping from name to factory or place.

    The factory gets a `SeamContext` with this plugin's settings.

    When it is called: once for each engine that is opened, before recovery reads the first
    history, and when plugins are listed. The configured ``recovery_driver`` chooses, and only its
    factory is called, once. If two plugins claim the name, it has to be written ``plugin:name``.
    """


@hookspec
def aion_recovery_seams() -> Mapping[str, SeamFactory[ActiveWorkflowRecoverySeam] | str]:  # type: ignore[empty-body]
    """Offer seams, which decide by which code a run goes on: from name to factory or place.

    The factory gets a `SeamContext` with this plugin's settings.

    When it is called: once for each engine that is opened, before recovery reads the first
    history, and when plugins are listed. The configured ``recovery_seam`` chooses, and only its
    factory is called, once. If two plugins claim the name, it has to be written ``plugin:name``.
    """


@hookspec
def aion_payload_codecs() -> Mapping[str, SettingsFactory[PayloadCodec] | str]:  # type: ignore[empty-body]
    """Offer codecs, which change stored values (compress, encrypt): from name to factory or place.

    The factory gets this plugin's settings.

    When it is called: once for each engine or client that is opened, before it reads or writes a
    value, and when plugins are listed. The configured ``payload_codecs`` choose, in that order;
    with none configured nothing is asked. If two plugins claim a name, it has to be written
    ``plugin:name``.
    """


@hookspec
def aion_workflows() -> Iterable[Workflow[..., Any] | ModuleType]:  # type: ignore[empty-body]
    """Give the workflows of an installed application: definitions, or modules with definitions.

    Import them in the hook, not in the plugin's module: programs that list plugins do not run
    workflows.

    When it is called: once for each engine that is opened, before its catalog is made. All
    answers count, beside what ``open_engine(workflows=…)`` is given; two different workflows of
    one name are an error of the catalog.
    """


@hookspec
def aion_observers(settings: Mapping[str, object]) -> Iterable[Observer]:  # type: ignore[empty-body]
    """Give observers, which are told what has happened in an engine.

    Args:
        settings: this plugin's own. Raise `ConfigError` for what cannot be used.

    When it is called: once for each engine that is opened, before recovery. All observers are
    told everything, in the order of their plugins' names; what one of them raises later harms
    neither the run nor the other observers.
    """


@hookspec
def aion_configure_converter(converter: PayloadConverter) -> None:
    """Teach the converter types of values that it does not know.

    When it is called: once for each engine or client that is opened, before the catalog is made
    and before any value is read or written. All are called, in the order of their plugins' names;
    for one type the last wins.
    """


@hookspec
def aion_engine_starting(engine: EngineView) -> None:
    """An engine is about to run.

    What is raised here keeps the engine from starting, as a `PluginError`.

    When it is called: once for each engine that is opened, when it has its store and before
    recovery. All are called, in the order of their plugins' names; when one raises, those called
    before it are told by `aion_engine_stopped`, and those after it hear nothing.
    """


@hookspec
def aion_engine_stopped(engine: EngineView) -> None:
    """An engine runs no more.

    When it is called: once for each engine whose start this plugin was told of, when its services
    have ended and before its store is closed, whether it stopped in order or by an error. All are
    called, in the reverse order of `aion_engine_starting`, also when one of them raises.
    """
