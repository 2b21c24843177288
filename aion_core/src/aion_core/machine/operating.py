"""What an operator does to an activity: has it tried again, or says how it ended.

Judged by what is recorded of the run, like everything that arrives; `aion_core.machine.judging`
asks here.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from aion_core import events as e
from aion_core.errors import (
    ActivityNotFoundError,
    ActivityNotHeldError,
    AionError,
    WorkflowClosedError,
    WorkflowNotFoundError,
)
from aion_core.history import ActivityRow, RunProjection
from aion_core.ids import ActivityId
from aion_core.machine import arrivals as a
from aion_core.machine.attempt_events import attempt_completed, attempt_failed, attempt_started

__all__ = ["judge_retry", "judge_supply", "retriable"]


def retriable(projection: RunProjection, now: datetime) -> list[ActivityId]:
    """The open activities that wait for a retry: of an operator, or of their time."""
    return [row.activity_id for row in projection.activities.values() if _waits(row, now)]


def judge_retry(
    projection: RunProjection, request: a.RetryRequest, now: datetime, recorded_at: datetime
) -> e.ActivityStarted | AionError:
    """The next attempt of the activity that is named; of the first that waits when none is."""
    refusal = _refusal(projection)
    if refusal is not None:
        return refusal
    activity_id = request.activity_id
    if activity_id is None:
        waiting = retriable(projection, now)
        if not waiting:
            return ActivityNotHeldError(
                projection.workflow_id, None, "none of its activities waits for a retry"
            )
        activity_id = waiting[0]
    row = projection.activities.get(activity_id)
    if row is None:
        return ActivityNotFoundError(projection.workflow_id, activity_id, projection.activities)
    if not _waits(row, now):
        return ActivityNotHeldError(projection.workflow_id, activity_id, _what_it_does(row))
    # In a backoff the row is at the attempt that is to come.
    attempt = row.attempt + 1 if row.held else row.attempt
    return attempt_started(projection, row, recorded_at, attempt, delivery=1)


def judge_supply(
    projection: RunProjection, request: a.SupplyRequest, recorded_at: datetime
) -> e.ActivityCompleted | e.ActivityFailed | AionError:
    """The outcome of the activity, whatever it does at the moment."""
    refusal = _refusal(projection)
    if refusal is not None:
        return refusal
    row = projection.activities.get(request.activity_id)
    if row is None:
        return ActivityNotFoundError(
            projection.workflow_id, request.activity_id, projection.activities
        )
    match request.outcome:
        case a.AttemptCompleted(result):
            return attempt_completed(projection, row, recorded_at, result, request.supplied_by)
        case a.AttemptFailed(failure):
            notes = (*failure.notes, f"supplied by {request.supplied_by}")
            error = attrs.evolve(failure, kind="terminal", notes=notes)
            return attempt_failed(projection, row, recorded_at, error)


def _refusal(projection: RunProjection) -> AionError | None:
    summary = projection.summary
    if summary is None:
        return WorkflowNotFoundError(projection.workflow_id)
    if summary.status.is_closed:
        return WorkflowClosedError(projection.workflow_id, summary.status.value)
    return None


def _waits(row: ActivityRow, now: datetime) -> bool:
    if row.cancel_requested:
        return False
    return row.held or (row.next_attempt_at is not None and row.next_attempt_at > now)


def _what_it_does(row: ActivityRow) -> str:
    if row.cancel_requested:
        return "the workflow has cancelled it"
    return f"attempt {row.attempt} is under way, or begins as soon as there is room"
