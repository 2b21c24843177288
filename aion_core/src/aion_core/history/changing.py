"""Changes: what one event does to the rows of its workflow, by one rule for every store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

import attrs

from aion_core import events as e
from aion_core.events import ParentRef, RateRow, ReopenedActivity, TimerRow
from aion_core.failures import Failure
from aion_core.history.rows import ActivityRow
from aion_core.history.statuses import CLOSED_BY
from aion_core.ids import ActivityId, RunId, TimerId
from aion_core.making import maker
from aion_core.status import WorkflowStatus
from aion_core.values import Attributes, AttributeValue, merged_attributes

__all__ = [
    "ActivityHeld",
    "ActivityOpened",
    "ActivitySettled",
    "AttemptDelivered",
    "AttemptPlanned",
    "AttributesMerged",
    "CancelRequested",
    "Change",
    "RunClosed",
    "RunOpened",
    "RunPaused",
    "RunReopened",
    "RunResumed",
    "TimerArmed",
    "TimerSettled",
    "changes",
]


@attrs.frozen(kw_only=True)
class RunOpened:
    """A run begins; the workflow is created with its first. It has the run's attributes only."""

    run_id: RunId
    workflow_type: str
    started_at: datetime
    parent: ParentRef | None = None
    attributes: Mapping[str, AttributeValue] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class RunClosed:
    """The run ends; all of its timers and activities are settled with it.

    Attributes:
        by_activity: it failed by its failed activity, which stays in the summary.
    """

    status: WorkflowStatus
    closed_at: datetime
    failure_reason: str | None = None
    by_activity: bool = False


@attrs.frozen
class RunReopened:
    """The closed run is open again, with these timers and activities and no others."""

    timers: tuple[TimerRow, ...]
    activities: tuple[ActivityRow, ...]


@attrs.frozen
class RunPaused:
    """Nothing of the run is due until it is resumed."""


@attrs.frozen
class RunResumed:
    """What is due of the run is due again."""


@attrs.frozen
class AttributesMerged:
    """The summary's attributes change, by `aion_core.values.merged_attributes`."""

    attributes: Attributes


@attrs.frozen
class TimerArmed:
    """A timer is due at ``timer.fire_at``."""

    timer: TimerRow


@attrs.frozen
class TimerSettled:
    """The timer is due no more."""

    timer_id: TimerId


@attrs.frozen
class ActivityOpened:
    """An activity waits for its first attempt."""

    activity: ActivityRow


@attrs.frozen
class AttemptPlanned:
    """The next attempt is to begin at ``next_attempt_at``; its delivery starts at 1 again."""

    activity_id: ActivityId
    attempt: int
    next_attempt_at: datetime | None


@attrs.frozen
class AttemptDelivered:
    """The attempt is handed out, and waits for nothing. ``at`` counts for its rate limit."""

    activity_id: ActivityId
    attempt: int
    delivery: int
    at: datetime


@attrs.frozen
class ActivityHeld:
    """The activity waits for an operator; it is the summary's failed activity."""

    activity_id: ActivityId


@attrs.frozen
class CancelRequested:
    """The activity is to be stopped."""

    activity_id: ActivityId


@attrs.frozen
class ActivitySettled:
    """The activity has its outcome; ``failed`` makes it the summary's failed activity."""

    activity_id: ActivityId
    failed: bool = False


Change: TypeAlias = (
    RunOpened
    | RunClosed
    | RunReopened
    | RunPaused
    | RunResumed
    | AttributesMerged
    | TimerArmed
    | TimerSettled
    | ActivityOpened
    | AttemptPlanned
    | AttemptDelivered
    | ActivityHeld
    | CancelRequested
    | ActivitySettled
)


_activity_row = maker(ActivityRow)
_activity_opened = maker(ActivityOpened)
_activity_settled = maker(ActivitySettled)


def changes(event: e.HistoryEvent) -> Change | None:
    """What an event does to the rows of its workflow; None for nothing."""
    match event:
        case e.ActivityScheduled():
            return _activity_opened(_scheduled(event))
        case e.ActivityCompleted() | e.ActivityCancelled():
            return _activity_settled(event.activity_id)
        case e.ActivityFailed():
            return _failed(event)
        case e.ActivityStarted():
            return AttemptDelivered(
                event.activity_id, event.attempt, event.delivery, event.recorded_at
            )
        case e.ActivityCancelRequested():
            return CancelRequested(event.activity_id)
        case e.TimerStarted():
            return TimerArmed(
                TimerRow(timer_id=event.timer_id, started_seq=event.seq, fire_at=event.fire_at)
            )
        case e.TimerFired() | e.TimerCancelled():
            return TimerSettled(event.timer_id)
        case e.SearchAttributesUpdated():
            return AttributesMerged(event.attributes)
        case e.WorkflowStarted():
            return RunOpened(
                run_id=event.run_id,
                workflow_type=event.workflow_type,
                started_at=event.recorded_at,
                parent=event.parent,
                attributes=merged_attributes({}, event.attributes or {}),
            )
        case e.WorkflowPaused():
            return RunPaused()
        case e.WorkflowResumed():
            return RunResumed()
        case e.WorkflowReopened():
            return RunReopened(event.timers, tuple(map(_reopened, event.reopened)))
        case _:
            return _closed(event)


def _scheduled(event: e.ActivityScheduled) -> ActivityRow:
    options = event.options
    limit, time_limit = options.limit, options.schedule_to_close
    return _activity_row(
        activity_id=event.activity_id,
        activity_type=event.activity_type,
        scheduled_seq=event.seq,
        deadline=None if time_limit is None else event.recorded_at + timedelta(seconds=time_limit),
        rate=(
            None if limit is None or limit.rate is None else RateRow(limit.name, limit.rate.window)
        ),
    )


def _failed(event: e.ActivityFailed) -> Change:
    if e.is_arrival(event):
        return ActivitySettled(event.activity_id, failed=True)
    if event.held:
        return ActivityHeld(event.activity_id)
    return AttemptPlanned(event.activity_id, event.attempt + 1, event.next_attempt_at)


def _reopened(activity: ReopenedActivity) -> ActivityRow:
    return ActivityRow(
        activity_id=activity.activity_id,
        activity_type=activity.activity_type,
        scheduled_seq=activity.scheduled_seq,
        attempt=activity.attempt,
        deadline=activity.deadline,
        rate=activity.rate,
    )


def _closed(event: e.HistoryEvent) -> RunClosed | None:
    status = CLOSED_BY.get(type(event))
    if status is None:
        return None
    reason, by_activity = None, False
    match event:
        case e.WorkflowFailed(error=error):
            reason, by_activity = f"{error.type}: {error.message}", _names_activity(error)
        case e.WorkflowCancelled() | e.WorkflowTerminated():
            reason = event.reason
        case e.WorkflowTimedOut():
            reason = f"its {event.timeout} time was over"
    return RunClosed(
        status=status,
        closed_at=event.recorded_at,
        failure_reason=reason,
        by_activity=by_activity,
    )


def _names_activity(error: Failure) -> bool:
    parts = error.members if error.cause is None else (*error.members, error.cause)
    return error.type == "ActivityError" or any(map(_names_activity, parts))
