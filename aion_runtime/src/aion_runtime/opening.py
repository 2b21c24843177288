"""Opening an engine: from a store to a running engine, and back in order.

The engine's services live in one nursery of a task of their own, shielded, so that a cancelled
caller still leaves in order: its attempts are drained, their outcomes recorded, the store closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
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
    StoreWriter,
)
from aion_core.errors import EngineStoppedError, PluginError
from aion_core.plugins import PluginManager
from aion_core.policies import seconds
from aion_runtime.admission import Admission
from aion_runtime.alarms import Alarms
from aion_runtime.answers import Answers
from aion_runtime.assembling import (
    Choices,
    NonDeterminismPolicy,
    Parts,
    assemble,
    installed_plugins,
    store_url,
)
from aion_runtime.asyncio_loop import AsyncioLoop
from aion_runtime.attempt import Surroundings
from aion_runtime.attempts import AttemptManager
from aion_runtime.catalog import VersionPolicy
from aion_runtime.clock import Clock, SystemClock
from aion_runtime.closed_runs import ClosedRuns
from aion_runtime.closings import Closings
from aion_runtime.configuration import load_configuration
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.engine import Engine
from aion_runtime.engine_port import EnginePort
from aion_runtime.forgetting import AnswerRetention
from aion_runtime.given import Bounds, listed, require_kind, require_store
from aion_runtime.heartbeats import Heartbeats
from aion_runtime.holding import Holder
from aion_runtime.keeping import Keeper
from aion_runtime.loading import RunLoader
from aion_runtime.loop_watch import asyncio_pulse, trio_pulse, watched_loops
from aion_runtime.mailroom import Mailroom
from aion_runtime.reception import Reception
from aion_runtime.recovery.startup import recover_due_runs
from aion_runtime.replay_check import ReplayCheck
from aion_runtime.residents import RESIDENT_BYTES, Residents
from aion_runtime.resting import Rest
from aion_runtime.stopping import SigtermListener, UndividedContext
from aion_runtime.timers import TimerService
from aion_runtime.turns import Turns
from aion_runtime.waking import LOADS_AT_ONCE, Waker
from aion_runtime.watchdog import watched

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
            host = _Host(event_store, writer, parts, clock, sigterm, bounds)
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


class _Host:
    """The services of one engine and their life.

    Attributes:
        body: the scope of the caller's block; cancelled when the engine has to stop.
        failure: why it had to, when that is an error.
    """

    def __init__(
        self,
        store: EventStore,
        writer: StoreWriter,
        parts: Parts,
        clock: Clock,
        sigterm: SigtermListener,
        bounds: Bounds,
    ) -> None:
        self._store = store
        self._parts = parts
        self._clock = clock
        self._after_crash = writer.after_crash
        self._alarms = Alarms(clock.now, clock.sleep_until)
        self._delays = Alarms(clock.monotonic, clock.sleep_until_monotonic)
        self._keeper = Keeper(store, writer, clock, parts.context.converter.same, self._fail)
        self._heartbeats = Heartbeats(store, writer, clock)
        self._asyncio_loop = AsyncioLoop()
        self._asyncio_pulse = asyncio_pulse(self._asyncio_loop)
        closings, answers = Closings(), Answers()
        residents = Residents(bounds.resident_bytes)
        holder = Holder(self._keeper, residents, parts.observers, closings, answers)
        self._waker = Waker(
            store,
            writer,
            RunLoader(store, parts.context, parts.seam, parts.driver, parts.catalog.version_of),
            residents,
            holder,
            parts.observers,
            clock,
            self._delays,
            self._fail,
            fails_on_violation=parts.fails_on_violation,
        )
        self._admission = Admission(
            store, clock, self._delays, parts.catalog.limits(), bounds.max_running
        )
        self._dispatcher = Dispatcher(
            writer,
            residents,
            self._waker,
            holder,
            closings,
            answers,
            parts.observers,
            clock,
            self._fail,
            ReplayCheck(store, parts.context) if parts.replay_check else None,
            self._admission,
        )
        custody = self._dispatcher.custody
        self._keeper.connect(
            custody.ended_outside, custody.freed, custody.keep, custody.kept, custody.consumed
        )
        self._timers = TimerService(store, clock, self._dispatcher.fire, self._admission.look)
        self._services = trio.CancelScope(shield=True)
        self._activity_limit = bounds.activity_limit
        self._started = trio.Event()
        self._ended = trio.Event()
        self._grace = trio.CancelScope()
        converter = parts.context.converter
        reception = Reception(store, parts.catalog, converter)
        port = EnginePort(
            store,
            parts.catalog,
            converter,
            self._dispatcher,
            ClosedRuns(store, parts.context),
            reception,
            parts.observers.bell,
        )
        self._mailroom = Mailroom(
            store,
            writer,
            self._dispatcher,
            reception,
            port.ask,
            converter,
            clock,
            self._fail,
        )
        self._retention = AnswerRetention(writer, clock, self._fail)
        self.engine = Engine(store, parts.catalog, converter, port, self._dispatcher, clock)
        self.body = trio.CancelScope()
        self.failure: BaseException | None = None
        self.engine._hurry = self._grace.cancel
        sigterm.connect(self.body.cancel, self._grace.cancel)

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Run the services until `shut_down` ends them."""
        try:
            loops = watched_loops(trio_pulse(self._attempts_under_way), self._asyncio_pulse)
            with self._services, watched(self._parts.guard), loops:
                async with self._asyncio_loop.open(), trio.open_nursery() as nursery:
                    self._attempts = AttemptManager(
                        nursery,
                        self._parts.executor,
                        self._parts.context.converter,
                        self._clock,
                        self._alarms,
                        self._delays,
                        self._dispatcher.post,
                        self._dispatcher.wake,
                        self._heartbeats,
                        self._parts.observers,
                        Surroundings(
                            self._asyncio_loop,
                            self._parts.resources,
                            self._asyncio_pulse.was_kept_within,
                        ),
                        lambda consider: Turns(
                            self._store, self._clock, self._delays, consider, self._activity_limit
                        ),
                        after_crash=self._after_crash,
                    )
                    self._dispatcher.connect(self._attempts, self._timers.arm)
                    self.engine._rest = Rest(
                        self._store,
                        self._clock,
                        self._keeper,
                        self._attempts,
                        self._timers,
                        self._alarms,
                        self._delays,
                    )
                    for name, service in (
                        ("alarms", self._alarms.run),
                        ("delays", self._delays.run),
                        *((f"loader {n}", self._waker.run) for n in range(LOADS_AT_ONCE)),
                        ("dispatcher", self._dispatcher.run),
                        ("keeper", self._keeper.run),
                        ("admission", self._admission.run),
                        ("heartbeats", self._heartbeats.run),
                        ("turns", self._attempts.turns.run),
                    ):
                        nursery.start_soon(_protected, service, name=f"aion {name}")
                    self._nursery = nursery
                    self._started.set()
        except BaseException as error:
            self._fail(_bare(error))
        finally:
            try:
                self._dispatcher.abandon()
            finally:
                # Whatever the code that is thrown away does: who waits for this waits shielded.
                self._ended.set()

    def _attempts_under_way(self) -> int:
        return self._attempts.in_flight if self._started.is_set() else 0

    async def recover(self) -> None:
        """Bring back what has work due; timers fire as soon as that is known."""
        await self._started.wait()
        await self._admission.recover()
        self.engine.recovery_report = await recover_due_runs(
            self._store,
            self._dispatcher,
            self._waker,
            self._alarms,
            self._clock.now(),
            self._mailroom.take_up,
            lambda: self._nursery.start_soon(_protected, self._timers.run, name="aion timers"),
        )
        for name, service in (
            ("mailroom", self._mailroom.run),
            ("answer retention", self._retention.run),
        ):
            self._nursery.start_soon(_protected, service, name=f"aion {name}")

    async def shut_down(self, grace: float) -> BaseException | None:
        """Stop in order; returns the Ctrl-C that cut the grace period short, if one did."""
        self.engine._stop_accepting()
        self._mailroom.stop()
        self._admission.stop()
        self._waker.stop()
        hurry = None
        # Bounded by the grace period, and by how long the activities take to be cancelled.
        with trio.CancelScope(shield=True):
            try:
                self._grace.relative_deadline = 0 if self.failure is not None else grace
                with self._grace:
                    await self._started.wait()
                    await self._attempts.drain()
                    await self._dispatcher.settled()
            except KeyboardInterrupt as pressed_again:
                hurry = pressed_again
            self._services.cancel()
            while not self._ended.is_set():
                try:
                    await self._ended.wait()
                except KeyboardInterrupt as pressed_again:
                    hurry = pressed_again
        self.engine._close()
        return hurry

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.engine._stop_accepting()
        self.body.cancel()
        # At once, and not when the body has ended: it may be waiting for an answer, shielded.
        self._services.cancel()


@trio.lowlevel.enable_ki_protection
async def _protected(service: Callable[[], Awaitable[None]]) -> None:
    # Ctrl-C is for the caller's task, which then leaves in order; not for one in mid-step.
    await service()


def _bare(error: BaseException) -> BaseException:
    """The error itself, where nurseries have put it into groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
