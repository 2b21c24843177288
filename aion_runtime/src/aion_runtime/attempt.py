"""One attempt of an activity under way: its scope, its time limits, and who still wants it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs
import trio

from aion_core.authoring.activities import Activity, ActivityInfo
from aion_core.authoring.resources import Resources
from aion_core.contracts import ActivityAttempt
from aion_core.events import ActivityFailed, ActivityScheduled
from aion_core.failures import Failure, timeout_failure
from aion_core.machine.arrivals import AttemptFailed
from aion_core.payloads import Payload, PayloadConverter
from aion_runtime.alarms import Alarm, Alarms
from aion_runtime.asyncio_loop import AsyncioLoop
from aion_runtime.slots import Slot
from aion_runtime.time_limits import TimeLimits

__all__ = ["Attempt", "Surroundings"]


@attrs.frozen(kw_only=True)
class Surroundings:
    """What an engine has for its activities.

    Attributes:
        converter: reads their input and writes their results.
        delays: watches their time limits.
        keep: takes the details of a heartbeat, in the event loop's thread.
        asyncio_loop: for those that need one.
        resources: what they share.
        asyncio_was_kept: has the asyncio loop stood still within the last so many seconds?
        token: of the event loop.
    """

    converter: PayloadConverter
    delays: Alarms[float]
    keep: Callable[[Attempt, Payload], None]
    asyncio_loop: AsyncioLoop
    resources: Resources
    asyncio_was_kept: Callable[[float], bool]
    token: trio.lowlevel.TrioToken


class Attempt(ActivityAttempt):
    """What an executor is given, and what the attempt manager knows besides.

    Args:
        former: how the attempt before it failed.
        surroundings: what the engine has for its activities.
        slot: what it holds of its limits; None when it has none.

    Attributes:
        scheduled: the event that called the activity.
        details: those of its last heartbeat.
        wanted: False once the workflow has asked for it to be stopped.
        dropped: True once the run has ended without it.
        timed_out: how it failed once its time was over, unless it was to stop before.
        ended: True once its executor has been left; a thread of it may go on, unheard.
    """

    cancel_scope: trio.CancelScope

    def __init__(
        self,
        info: ActivityInfo,
        scheduled: ActivityScheduled,
        definition: Activity[..., Any],
        surroundings: Surroundings,
        *,
        former: ActivityFailed | None = None,
        slot: Slot | None = None,
    ) -> None:
        self.info = info
        self.definition = definition
        self.input = scheduled.input
        self.options = options = scheduled.options
        self.converter = surroundings.converter
        self.resources = surroundings.resources
        self.last_heartbeat = None if former is None else former.heartbeat
        self.scheduled = scheduled
        self.details: Payload | None = None
        self.wanted = True
        self.dropped = False
        self.timed_out: AttemptFailed | None = None
        self.ended = False
        self.slot = slot
        self._former = former
        self._surroundings = surroundings
        self._limits: TimeLimits | None = None
        if options.start_to_close is not None or options.heartbeat_timeout is not None:
            self._limits = TimeLimits(
                options,
                info.activity_type,
                surroundings.delays,
                self._time_out,
                self._could_speak,
            )
        self._grace: Alarm | None = None
        self._has_entered = False
        self._is_cancelled = False

    @property
    def number(self) -> int:
        """Which attempt of its activity."""
        return self.info.attempt

    @property
    def is_to_stop(self) -> bool:
        # Not by its scope: only the event loop's thread may ask that.
        return not self.wanted or self.ended or self.timed_out is not None

    @property
    def silence(self) -> AttemptFailed | None:
        """How it has failed because it kept its event loop and was silent for too long."""
        blame = None if self._limits is None else self._limits.blame
        return None if blame is None else AttemptFailed(blame)

    def keeps_its_loop(self, seconds: float, stack: Callable[[], str]) -> bool:
        """A thread has seen it keep its event loop for so long: is it too silent by that?

        True once.
        """
        limits = self._limits
        return limits is not None and not self.ended and limits.keeps_loop(seconds, stack)

    async def call_on_asyncio(
        self, function: Callable[..., Coroutine[Any, Any, object]], arguments: Mapping[str, object]
    ) -> object:
        self.waits()
        name = f"activity {self.info.activity_type} of {self.info.workflow_id}"
        loop = self._surroundings.asyncio_loop
        return await loop.call(function, arguments, self._began_on_asyncio, name)

    def waits(self) -> None:
        self.stop_clock()
        if self.slot is not None:
            self.slot.hold_back()

    def began(self) -> None:
        if self._limits is None and self.slot is None:
            return
        if trio.lowlevel.in_trio_run():
            self.start_clock()
        else:
            trio.from_thread.run_sync(self.start_clock, trio_token=self._surroundings.token)

    def heartbeat(self, details: Payload) -> None:
        if trio.lowlevel.in_trio_run():
            self._take_heartbeat(details)
        else:
            if self._limits is not None:
                self._limits.announce()
            # A thread that was left behind may outlive the event loop: then nobody hears it.
            with contextlib.suppress(trio.RunFinishedError):
                self._surroundings.token.run_sync_soon(self._take_heartbeat, details)

    def enter(self, scope: trio.CancelScope) -> None:
        """Its executor is about to be called, in a scope that is its own until it has ended."""
        self.cancel_scope = scope
        self._has_entered = True
        if self._is_cancelled:
            scope.cancel()

    def end(self) -> None:
        """Its executor has been left: no time runs, and what it still says is of no attempt."""
        self.ended = True
        self.stop_clock()
        self._stop_grace()
        if self.slot is not None:
            self.slot.end()

    def start_clock(self) -> None:
        """The time it may take, and may be silent, runs from now."""
        if not self.ended:
            if self._limits is not None:
                self._limits.start()
            if self.slot is not None:
                self.slot.begin()

    def stop_clock(self) -> None:
        """No time runs; it has ended, or waits."""
        if self._limits is not None:
            self._limits.stop()

    def request_cancel(self) -> None:
        """Ask it to stop. A thread is asked when it asks itself: what it did is waited for."""
        self.wanted = False
        if self.definition.is_async:
            self._cancel()

    def run_out(self) -> None:
        """The time for all attempts of its activity is over: it is ended, and none follows."""
        limit = self.options.schedule_to_close
        assert limit is not None
        cause = None if self._former is None else self._former.error
        self._time_out(timeout_failure(limit, "schedule_to_close", cause), is_final=True)

    def drop(self) -> None:
        """Stop it; nobody wants to know what becomes of it."""
        self.dropped = True
        self._stop_grace()
        self.request_cancel()

    def give_grace(self, grace: float, give_up: Callable[[], None]) -> None:
        """Have ``give_up`` called unless it has ended, or is dropped, in so many seconds."""
        if not self.ended:
            delays = self._surroundings.delays
            self._grace = delays.set(delays.now() + grace, give_up)

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _began_on_asyncio(self) -> None:
        # Unlike a thread of its own that loop must not wait: others are on it.
        self._surroundings.token.run_sync_soon(self.start_clock)

    def _could_speak(self, seconds: float) -> bool:
        is_on_asyncio = not self.is_in_thread and self.definition.loop == "asyncio"
        return not (is_on_asyncio and self._surroundings.asyncio_was_kept(seconds))

    def _take_heartbeat(self, details: Payload) -> None:
        # Else it would pass for one of the next attempt, or of another run's activity.
        if self.ended:
            return
        if self._limits is not None:
            self._limits.hear()
        # Nor is what it says kept when nobody wants it any more: its call is over.
        if not self.dropped:
            self.details = details
            self._surroundings.keep(self, details)

    def _time_out(self, failure: Failure, *, is_final: bool = False) -> None:
        """End it because it takes too long; a thread is left behind, its result dropped."""
        if not self.ended and not self._is_cancelled:
            self.timed_out = AttemptFailed(failure, is_final)
            self._cancel()

    def _cancel(self) -> None:
        # Once it has ended the scope is another one's.
        if not self.ended:
            self._is_cancelled = True
            if self._has_entered:
                self.cancel_scope.cancel()
