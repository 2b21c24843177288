"""Opening an engine: from a store to a running engine, and back in order.

What it is made of and how it runs is in `aion_runtime.assembling` and `aion_runtime.hosting`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from types import ModuleType
from typing import Any

import trio

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    EventStore,
    LiveExecutor,
    RecoveryDriver,
)
from aion_core.errors import EngineStoppedError, PluginError
from aion_core.plugins import PluginManager
from aion_core.policies import seconds
from aion_runtime.assembling import (
    Choices,
    NonDeterminismPolicy,
    assemble,
    installed_plugins,
    store_url,
)
from aion_runtime.catalog import VersionPolicy
from aion_runtime.clock import Clock, SystemClock
from aion_runtime.configuration import load_configuration
from aion_runtime.engine import Engine
from aion_runtime.given import Bounds, listed, require_kind, require_store
from aion_runtime.hosting import Host
from aion_runtime.residents import RESIDENT_BYTES
from aion_runtime.stopping import SigtermListener, UndividedContext

__all__ = ["open_engine", "open_store"]


def open_store(
    store: str | None = None, *, plugins: PluginManager | None = None
) -> AbstractAsyncContextManager[EventStore]:
    """Open a store by URL, to read it or to hand it to an engine.

    Args:
        store: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``memory:`` …; when not
            given, the configured one: ``AION_STORE``, or ``store`` in ``aion.toml``.
        plugins: where stores are found; the installed plugins when not given.

    Raises:
        ConfigError: no store is named, or no installed plugin serves its scheme.
    """
    configuration = load_configuration(arguments={"store": store})
    url = store_url(configuration)
    return (plugins or installed_plugins(configuration)).open_store(url)


def open_engine(
    store: str | EventStore | None = None,
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
    executor: str | LiveExecutor | None = None,
    recovery_driver: str | RecoveryDriver | None = None,
    recovery_seam: str | ActiveWorkflowRecoverySeam | None = None,
    plugins: PluginManager | None = None,
    on_version_mismatch: VersionPolicy = "replay",
    on_nondeterminism: NonDeterminismPolicy = "hold",
    resident_bytes: int = RESIDENT_BYTES,
    activity_limit: int | None = None,
    max_running: int | None = None,
    resources: Sequence[object] = (),
    clock: Clock | None = None,
    shutdown_grace: float | timedelta = 5.0,
    activation_time_limit: float | timedelta = 1.0,
    replay_check: bool = False,
    dev_mode: bool | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> AbstractAsyncContextManager[Engine]:
    """Run workflows for the length of an ``async with``.

    Entering becomes the store's one writer and brings back the runs that have work due. Leaving
    takes nothing new, lets running activities finish within the grace period, records their
    outcomes, and closes the store; what is not finished goes on when it is opened again. SIGTERM
    cancels the block, leaves in the same order and then ends the process by the signal, if the
    program has no handler for it; of several engines each leaves so, and the last ends it.

    Args:
        store: a URL, an open store, or None for the configured one.
        workflows: definitions, or modules with definitions; only these run, and those that
            installed plugins bring.
        executor: what runs activities: the name of an installed one, or an executor; when not
            given, the configured one. So with ``recovery_driver`` and ``recovery_seam``.
        plugins: where all of these are found; the installed plugins when not given.
        on_version_mismatch: ``replay`` lets a run that other code began go on by the loaded code
            if that fits its history; ``strict`` holds it until its own code is there.
        on_nondeterminism: ``hold`` leaves a run as it is whose code does not fit its history,
            until fitting code is there; ``fail`` ends it.
        resident_bytes: about how much memory runs may take that wait. Those that do not fit are
            brought back from their history when something happens to them.
        activity_limit: how many attempts of all activities may be under way at a time; None for any
            number.
        max_running: how many runs may be under way at a time, from when their code begins until
            they end; None for any number. A start that finds no room is durable, and its code runs
            when there is, in the order of the starts.
        resources: what activities share, such as a pool, and find by its class with `resource`.
        clock: another time than the machine's, for tests.
        shutdown_grace: seconds that running activities have when the engine stops.
        activation_time_limit: seconds of CPU time that workflow code may take between two awaits
            that wait. More is reported, with its stack; code that has taken ten times as much is
            stopped, and its run is stuck.
        replay_check: replay what has been recorded at once, so that code which is not
            deterministic is stuck, with the reason, before it does harm: for tests.
        dev_mode: refuse in workflow code what replays would do differently, such as reading a
            clock or a file. When not given, ``AION_DEV=1`` or ``python -X dev`` says so.
        settings: tables by the names of the plugins that get them.

    Raises:
        ConfigError: no store is named, a name is that of nothing installed, two workflows have
            one name, or two resources are of one class.
        TypeError, ValueError: an option is of a wrong type, or too small.
        PluginError: a plugin cannot be loaded, or fails.
        StoreUnavailableError: the store cannot be opened, or another engine holds it.
        EngineStoppedError: SIGTERM came meanwhile, and another engine of the process is leaving.
        FencedError: raised on leaving, when another engine took the store over.
    """
    require_store(store)
    for option, part, kind, words in (
        ("executor", executor, LiveExecutor, "a name or a LiveExecutor"),
        ("recovery_driver", recovery_driver, RecoveryDriver, "a name or a RecoveryDriver"),
        ("recovery_seam", recovery_seam, ActiveWorkflowRecoverySeam, "a name or a recovery seam"),
    ):
        if not isinstance(part, str):
            require_kind(option, part, kind, words)
    require_kind("plugins", plugins, PluginManager, "a PluginManager")
    require_kind("clock", clock, Clock, "a Clock")
    choices = Choices(
        store=store if isinstance(store, str) else None,
        workflows=listed("workflows", workflows, "workflows=[order]"),
        executor=executor,
        recovery_driver=recovery_driver,
        recovery_seam=recovery_seam,
        plugins=plugins,
        on_version_mismatch=on_version_mismatch,
        on_nondeterminism=on_nondeterminism,
        settings=settings,
        activation_time_limit=seconds(activation_time_limit),
        resources=listed("resources", resources, "resources=[pool]"),
        replay_check=replay_check,
        dev_mode=dev_mode,
    )
    given = store if isinstance(store, EventStore) else None
    return UndividedContext(
        _opened_engine(
            given,
            choices,
            clock or SystemClock(),
            seconds(shutdown_grace),
            Bounds(resident_bytes, activity_limit, max_running),
        )
    )


@asynccontextmanager
async def _opened_engine(
    store: EventStore | None, choices: Choices, clock: Clock, grace: float, bounds: Bounds
) -> AsyncIterator[Engine]:
    parts = assemble(choices)
    opened: AbstractAsyncContextManager[EventStore]
    if store is not None:
        opened = nullcontext(store)
    else:
        opened = parts.plugins.open_store(store_url(parts.configuration))
    error: BaseException | None = None
    is_open = False
    with SigtermListener() as sigterm, parts.guard.in_force():
        async with opened as event_store, event_store.writer() as writer:
            host = Host(event_store, writer, parts, clock, sigterm, bounds)
            parts.plugins.engine_starting(host.engine)
            async with trio.open_nursery() as nursery:
                # Not `start`: when cancelled meanwhile, it would wait for the end of the services.
                nursery.start_soon(host.run, name="aion engine")
                # Every error is kept until all is closed: raised here, the nurseries on the way
                # out would wrap the caller's own error in groups.
                try:
                    with host.body:
                        await host.recover()
                        is_open = True
                        yield host.engine
                except BaseException as raised:
                    error = raised
                hurry = await host.shut_down(grace)
            plugin_error = _tell_stopped(parts.plugins, host.engine)
        if host.failure is not None:
            raise host.failure from error
        for each in (error, hurry, plugin_error):
            if each is not None:
                raise each
        if not is_open:
            raise EngineStoppedError("the engine was told to stop while it was being opened")


def _tell_stopped(plugins: PluginManager, engine: Engine) -> PluginError | None:
    try:
        plugins.engine_stopped(engine)
    except PluginError as error:
        return error
    return None
