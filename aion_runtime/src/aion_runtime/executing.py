"""Executing: one call of an executor, whose every end becomes an outcome."""

from __future__ import annotations

from typing import TypeAlias

import trio

from aion_core.contracts import LiveExecutor
from aion_core.errors import Cancelled
from aion_core.failures import Failure
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.payloads import Payload
from aion_runtime.attempt import Attempt
from aion_runtime.executor import failed_by
from aion_runtime.heartbeats import Heartbeats

__all__ = [
    "AttemptOutcome",
    "call",
    "outcome_by_cancelling",
    "outcome_by_error",
    "word_for",
]

AttemptOutcome: TypeAlias = AttemptCompleted | AttemptFailed | AttemptCancelled


async def call(
    executor: LiveExecutor, heartbeats: Heartbeats, attempt: Attempt, *, is_informed: bool
) -> AttemptOutcome:
    """Call the executor, in the scope of the attempt. What it raises is raised.

    Args:
        is_informed: the attempt has what those before it have said.
    """
    if not is_informed:
        last = await heartbeats.last(attempt)
        attempt.last_heartbeat = attempt.last_heartbeat if last is None else last
    attempt.start_clock()
    outcome = await executor.run_activity(attempt)
    return attempt.silence or _checked(outcome, attempt)


def outcome_by_error(error: BaseException, attempt: Attempt) -> AttemptOutcome:
    """What an error makes of the attempt that it has ended, once it has left the scope.

    But that the engine stops, and Ctrl-C, are raised: an attempt that the stopping engine releases
    is to be made again by whoever runs the workflow next.
    """
    for_the_host = _for_the_host(error)
    if for_the_host is not None:
        raise for_the_host from None
    if isinstance(error, Cancelled) and attempt.is_to_stop:
        return attempt.timed_out or AttemptCancelled()
    # Whatever else it is: an activity that calls sys.exit(), say, has failed.
    return failed_by(error)


def outcome_by_cancelling(attempt: Attempt) -> AttemptOutcome:
    """What becomes of an attempt that has left its scope because that was cancelled."""
    return attempt.timed_out or _checked(AttemptCancelled(), attempt)


def word_for(attempt: Attempt, outcome: AttemptOutcome) -> str:
    """How an attempt ended, as observers are told."""
    if attempt.dropped:
        return "dropped"
    match outcome:
        case AttemptCompleted():
            return "completed"
        case AttemptFailed():
            return "failed"
        case AttemptCancelled():
            return "cancelled"


def _checked(outcome: object, attempt: Attempt) -> AttemptOutcome:
    """What an executor returned; what it may not return is a failed attempt."""
    match outcome:
        case AttemptCancelled() if attempt.wanted:
            reason = "cancelled an attempt that is wanted"
        case AttemptCompleted(Payload(str(), bytes())) | AttemptFailed(Failure()):
            return outcome
        case AttemptCancelled(None | str()):
            return outcome
        case AttemptCompleted() | AttemptFailed() | AttemptCancelled():
            reason = f"returned {type(outcome).__name__} with a value that cannot be recorded"
        case _:
            reason = f"returned {type(outcome).__name__}, which is no outcome"
    return AttemptFailed(Failure(type="ExecutorError", message=f"the executor {reason}"))


def _for_the_host(error: BaseException) -> BaseException | None:
    """What in an error must go on its way: that the engine stops, and Ctrl-C."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((trio.Cancelled, KeyboardInterrupt))[0]
    return error if isinstance(error, trio.Cancelled | KeyboardInterrupt) else None
