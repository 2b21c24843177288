"""The local executor: runs one attempt of an activity in this process.

It knows how to call a function, and nothing of time limits, of who no longer wants the result, or
of retries: `aion_runtime.attempts` does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import trio

from aion_core.authoring.activities import entered_activity
from aion_core.contracts import ActivityAttempt, ChildOutcome, LiveExecutor, SeamContext
from aion_core.errors import AionError, ApplicationError, PayloadError
from aion_core.failures import failure_from
from aion_core.ids import TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCompleted, AttemptFailed
from aion_core.payloads import Payload
from aion_runtime.clock import Clock, SystemClock

__all__ = ["LocalExecutor", "failed_by"]


class LocalExecutor(LiveExecutor):
    """Runs async activities on the event loop that they are for, and plain ones in worker threads.

    Made to be wrapped: an executor of your own may hold one and hand on what it does not do itself.

    Args:
        context: what a plugin's factory is given; nothing of it is needed.
        threads: how many plain activities may run at a time.
        clock: by which `start_timer` waits.
    """

    def __init__(
        self,
        context: SeamContext | None = None,
        *,
        threads: int = 40,
        clock: Clock | None = None,
    ) -> None:
        self._threads = trio.CapacityLimiter(threads)
        self._clock = clock or SystemClock()

    async def run_activity(self, attempt: ActivityAttempt) -> AttemptCompleted:
        """Call the function. What it raises is raised, and what stops it stops this."""
        definition = attempt.definition
        arguments = definition.signature.decode_arguments(attempt.input, attempt.converter)
        # This task is the attempt's own, so what it sets here is seen by the function alone.
        entered_activity(attempt)
        if definition.is_async and definition.loop == "asyncio":
            value = await attempt.call_on_asyncio(definition.body, arguments)
        elif definition.is_async:
            attempt.began()
            value = await definition.body(**arguments)
        else:
            attempt.waits()
            # Abandoned only by a time limit or at shutdown: nothing else cancels a thread's scope.
            value = await trio.to_thread.run_sync(
                _call_in_thread,
                attempt,
                definition.body,
                arguments,
                abandon_on_cancel=True,
                limiter=self._threads,
            )
        return AttemptCompleted(definition.signature.encode_result(value, attempt.converter))

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        """Wait, by the wall clock."""
        await self._clock.sleep_until(fire_at)

    async def await_signal(self, name: str, index: int) -> Payload:
        """Raises `AionError`: signals come through an engine."""
        await trio.lowlevel.checkpoint()
        raise AionError(
            f"signal {name!r} ({index}) cannot be awaited by the local executor: an engine "
            "delivers signals; open one, or use an executor that has a source of signals"
        )

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        """Raises `AionError`: workflows are run by an engine."""
        await trio.lowlevel.checkpoint()
        raise AionError(
            f"workflow {child_workflow_id!r} ({workflow_type}) cannot be run by the local "
            "executor: an engine runs workflows; open one, or use an executor that has one"
        )


def _call_in_thread(
    attempt: ActivityAttempt, body: Callable[..., Any], arguments: dict[str, Any]
) -> Any:
    # Its time does not begin while it waits for a thread.
    attempt.began()
    return body(**arguments)


def failed_by(error: BaseException) -> AttemptFailed:
    """What an exception makes of the attempt out of whose executor it came."""
    # What cannot be stored or read this time cannot be the next time either.
    is_final = isinstance(error, PayloadError) or (
        isinstance(error, ApplicationError) and error.non_retryable
    )
    return AttemptFailed(failure_from(error), is_final)
