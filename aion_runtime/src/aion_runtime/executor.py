"""The local executor: runs one attempt of an activity in this process."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from aion_core.authoring.activities import Activity, ActivityInfo, entered_activity
from aion_core.errors import ApplicationError, PayloadError
from aion_core.events import ActivityScheduled
from aion_core.failures import failure_from, timeout_failure
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.payloads import PayloadConverter
from aion_runtime.alarms import Alarm, Alarms

__all__ = ["Attempt", "AttemptOutcome", "LocalExecutor"]

AttemptOutcome = AttemptCompleted | AttemptFailed | AttemptCancelled | None
"""None: the attempt was released, to be made again by whoever runs the workflow next."""


@attrs.define(kw_only=True)
class Attempt:
    """One attempt under way.

    Attributes:
        number: which attempt of its activity.
        scope: cancels the function.
        wanted: False once the workflow has asked for it to be stopped.
        timed_out: True once its time was over.
        alarm: rings when it is.
    """

    info: ActivityInfo
    scheduled: ActivityScheduled
    activity: Activity[..., Any]
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    wanted: bool = True
    timed_out: bool = False
    alarm: Alarm | None = None

    @property
    def number(self) -> int:
        return self.info.attempt

    def request_cancel(self) -> None:
        """Ask it to stop. A thread cannot be: what it did is waited for."""
        self.wanted = False
        if self.activity.is_async:
            self.scope.cancel()

    def time_out(self) -> None:
        """End it because it takes too long; a thread is left behind, its result dropped."""
        self.timed_out = True
        self.scope.cancel()


class LocalExecutor:
    """Runs async activities as they are and plain ones in worker threads.

    Args:
        threads: how many plain activities may run at a time.
    """

    def __init__(
        self, converter: PayloadConverter, delays: Alarms[float], *, threads: int = 40
    ) -> None:
        self._converter = converter
        self._delays = delays
        self._threads = trio.CapacityLimiter(threads)

    async def run_activity(self, attempt: Attempt) -> AttemptOutcome:
        """Run the function once; every way in which it can end becomes an outcome."""
        result: AttemptOutcome = None
        try:
            with attempt.scope:
                result = await self._call(attempt)
        except BaseException as error:
            for_the_host = _for_the_host(error)
            if for_the_host is not None:
                raise for_the_host from None
            # Whatever else it is: an activity that calls sys.exit(), say, has failed.
            return AttemptFailed(failure_from(error), _is_non_retryable(error))
        finally:
            if attempt.alarm is not None:
                attempt.alarm.cancel()
        if result is not None:
            return result
        limit = attempt.scheduled.options.start_to_close
        if attempt.timed_out and limit is not None:
            return AttemptFailed(timeout_failure(limit))
        if not attempt.wanted:
            return AttemptCancelled()
        return None

    async def _call(self, attempt: Attempt) -> AttemptOutcome:
        activity = attempt.activity
        signature = activity.signature
        arguments = signature.decode_arguments(attempt.scheduled.input, self._converter)
        # This task is the attempt's own, so what it sets here is seen by the function alone.
        entered_activity(attempt.info)
        if activity.is_async:
            self._start_clock(attempt)
            value = await activity.fn(**arguments)
        else:
            # Abandoned only by a time limit or at shutdown: nothing else cancels a thread's scope.
            value = await trio.to_thread.run_sync(
                self._call_in_thread,
                attempt,
                arguments,
                abandon_on_cancel=True,
                limiter=self._threads,
            )
        return AttemptCompleted(signature.encode_result(value, self._converter))

    def _call_in_thread(self, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        # Its time does not begin while it waits for a thread.
        if attempt.scheduled.options.start_to_close is not None:
            trio.from_thread.run_sync(self._start_clock, attempt)
        return attempt.activity.fn(**arguments)

    def _start_clock(self, attempt: Attempt) -> None:
        limit = attempt.scheduled.options.start_to_close
        if limit is not None:
            attempt.alarm = self._delays.set(self._delays.now() + limit, attempt.time_out)


def _for_the_host(error: BaseException) -> BaseException | None:
    """What in an error must go on its way: that the engine stops, and Ctrl-C."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((trio.Cancelled, KeyboardInterrupt))[0]
    return error if isinstance(error, trio.Cancelled | KeyboardInterrupt) else None


def _is_non_retryable(error: BaseException) -> bool:
    if isinstance(error, ApplicationError):
        return error.non_retryable
    # What cannot be stored or read this time cannot be the next time either.
    return isinstance(error, PayloadError)
