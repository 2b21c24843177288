"""Hosting: the services of one engine, each a named task, and their life from start to stop.

They live in one nursery of a task of their own, shielded, so that a cancelled caller still leaves
in order: its attempts are drained, their outcomes recorded, and only then is the store closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from aion_core.contracts import EventStore, StoreWriter
from aion_runtime.admission import Admission
from aion_runtime.alarms import Alarms
from aion_runtime.answers import Answers
from aion_runtime.assembling import Parts
from aion_runtime.asyncio_loop import AsyncioLoop
from aion_runtime.attempt import Surroundings
from aion_runtime.attempts import AttemptManager
from aion_runtime.clock import Clock
from aion_runtime.closed_runs import ClosedRuns
from aion_runtime.closings import Closings
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.engine import Engine
from aion_runtime.engine_port import EnginePort
from aion_runtime.forgetting import AnswerRetention
from aion_runtime.given import Bounds
from aion_runtime.heartbeats import Heartbeats
from aion_runtime.holding import Holder
from aion_runtime.keeping import Keeper
from aion_runtime.loading import RunLoader
from aion_runtime.loop_watch import asyncio_pulse, trio_pulse, watched_loops
from aion_runtime.mailroom import Mailroom
from aion_runtime.reception import Reception
from aion_runtime.recovery.startup import recover_due_runs
from aion_runtime.replay_check import ReplayCheck
from aion_runtime.residents import Residents
from aion_runtime.resting import Rest
from aion_runtime.stopping import SigtermListener
from aion_runtime.timers import TimerService
from aion_runtime.turns import Turns
from aion_runtime.waking import LOADS_AT_ONCE, Waker
from aion_runtime.watchdog import watched

__all__ = ["Host"]


class Host:
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
                async with (
                    self._asyncio_loop.open(),
                    self._heartbeats.flushed(),
                    trio.open_nursery() as nursery,
                ):
                    self._attempts = AttemptManager(
                        nursery,
                        self._parts.executor,
                        self._clock,
                        self._alarms,
                        self._dispatcher.post,
                        self._dispatcher.wake,
                        self._heartbeats,
                        self._parts.observers,
                        Surroundings(
                            converter=self._parts.context.converter,
                            delays=self._delays,
                            keep=self._heartbeats.keep,
                            asyncio_loop=self._asyncio_loop,
                            resources=self._parts.resources,
                            asyncio_was_kept=self._asyncio_pulse.was_kept_within,
                            token=trio.lowlevel.current_trio_token(),
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
