"""Projections: what follows from events, for every store and the engine by one rule.

`changes` says what one event does to the rows a store keeps beside its events; `RunProjection`
is those rows in memory. A store applies the changes in the transaction that appends the event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias, assert_never

import attrs

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus

__all__ = [
    "ActivityOpened",
    "ActivityRow",
    "ActivitySettled",
    "AttemptDelivered",
    "AttemptPlanned",
    "CancelRequested",
    "Change",
    "RunClosed",
    "RunOpened",
    "RunProjection",
    "TimerArmed",
    "TimerRow",
    "TimerSettled",
    "WorkflowSummary",
    "changes",
]


@attrs.frozen(kw_only=True)
class WorkflowSummary:
    """One line about a workflow, for lists.

    Attributes:
        events: length of its history.
        failure_reason: type and message of the error, when it failed.
        stuck: why this engine cannot move the open run; None when it can.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    status: WorkflowStatus
    started_at: datetime
    closed_at: datetime | None = None
    events: int = 0
    failure_reason: str | None = None
    stuck: str | None = None


@attrs.frozen(kw_only=True)
class TimerRow:
    """A timer that has neither fired nor been cancelled."""

    timer_id: TimerId
    started_seq: int
    fire_at: datetime


@attrs.frozen(kw_only=True)
class ActivityRow:
    """An activity without an outcome.

    Attributes:
        scheduled_seq: the event that started it, its name for outcomes.
        attempt: the current one, from 1.
        delivery: how often this attempt has been handed out.
        next_attempt_at: when the current attempt may begin; None for at once.
        cancel_requested: the code no longer wants it.
    """

    activity_id: ActivityId
    activity_type: str
    scheduled_seq: int
    attempt: int = 1
    delivery: int = 1
    next_attempt_at: datetime | None = None
    cancel_requested: bool = False


@attrs.frozen
class RunOpened:
    """A run begins; the workflow is created with its first."""

    run_id: RunId
    workflow_type: str
    started_at: datetime


@attrs.frozen
class RunClosed:
    """The run ends; all of its timers and activities are settled with it."""

    status: WorkflowStatus
    closed_at: datetime
    failure_reason: str | None


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
    """The attempt is handed out again."""

    activity_id: ActivityId
    attempt: int
    delivery: int


@attrs.frozen
class CancelRequested:
    """The activity is to be stopped."""

    activity_id: ActivityId


@attrs.frozen
class ActivitySettled:
    """The activity has its outcome."""

    activity_id: ActivityId


Change: TypeAlias = (
    RunOpened
    | RunClosed
    | TimerArmed
    | TimerSettled
    | ActivityOpened
    | AttemptPlanned
    | AttemptDelivered
    | CancelRequested
    | ActivitySettled
)


def changes(event: e.HistoryEvent) -> Change | None:
    """What an event does to the rows of its workflow; None for nothing."""
    match event:
        case e.ActivityScheduled():
            return ActivityOpened(
                ActivityRow(
                    activity_id=event.activity_id,
                    activity_type=event.activity_type,
                    scheduled_seq=event.seq,
                )
            )
        case e.ActivityCompleted() | e.ActivityCancelled():
            return ActivitySettled(event.activity_id)
        case e.ActivityFailed():
            if e.is_arrival(event):
                return ActivitySettled(event.activity_id)
            return AttemptPlanned(event.activity_id, event.attempt + 1, event.next_attempt_at)
        case e.ActivityStarted():
            return AttemptDelivered(event.activity_id, event.attempt, event.delivery)
        case e.ActivityCancelRequested():
            return CancelRequested(event.activity_id)
        case e.TimerStarted():
            return TimerArmed(
                TimerRow(timer_id=event.timer_id, started_seq=event.seq, fire_at=event.fire_at)
            )
        case e.TimerFired() | e.TimerCancelled():
            return TimerSettled(event.timer_id)
        case e.WorkflowStarted():
            return RunOpened(event.run_id, event.workflow_type, event.recorded_at)
        case e.WorkflowCompleted():
            return RunClosed(WorkflowStatus.COMPLETED, event.recorded_at, None)
        case e.WorkflowFailed():
            reason = f"{event.error.type}: {event.error.message}"
            return RunClosed(WorkflowStatus.FAILED, event.recorded_at, reason)
        case _:
            return None


class RunProjection:
    """The state of a workflow's newest run, kept up to date event by event.

    Attributes:
        summary: None before the first event; leaves counting the events to ``head``.
        head: seq of the last event, 0 when there is none.
        last_recorded_at: None when there is none.
        timers: open timers by id, in order of their start.
        activities: open activities by id, in order of their start.
        signal_ids: every signal id ever recorded.
    """

    def __init__(self, workflow_id: WorkflowId, history: Iterable[e.HistoryEvent] = ()) -> None:
        self.workflow_id = workflow_id
        self.summary: WorkflowSummary | None = None
        self.head = 0
        self.last_recorded_at: datetime | None = None
        self.timers: dict[TimerId, TimerRow] = {}
        self.activities: dict[ActivityId, ActivityRow] = {}
        self.signal_ids: set[str] = set()
        for event in history:
            self.apply(event)

    @property
    def is_open(self) -> bool:
        """True while the run takes arrivals."""
        return self.summary is not None and not self.summary.status.is_closed

    def apply(self, event: e.HistoryEvent) -> None:
        """Take one more event.

        Raises:
            HistoryShapeError: its seq is not the next, or it stands before the start.
        """
        if event.seq != self.head + 1:
            raise HistoryShapeError(
                f"workflow {self.workflow_id!r}: event {event.seq} stands where event "
                f"{self.head + 1} belongs"
            )
        if self.summary is None and not isinstance(event, e.WorkflowStarted):
            raise HistoryShapeError(
                f"the history of workflow {self.workflow_id!r} does not begin with WorkflowStarted"
            )
        self.head = event.seq
        self.last_recorded_at = event.recorded_at
        if isinstance(event, e.SignalReceived) and event.signal_id is not None:
            self.signal_ids.add(event.signal_id)
        change = changes(event)
        if change is not None:
            self._apply_change(change)

    def _apply_change(self, change: Change) -> None:
        match change:
            case TimerArmed(timer):
                self.timers[timer.timer_id] = timer
            case TimerSettled(timer_id):
                self.timers.pop(timer_id, None)
            case ActivityOpened(activity):
                self.activities[activity.activity_id] = activity
            case ActivitySettled(activity_id):
                self.activities.pop(activity_id, None)
            case AttemptPlanned(activity_id, attempt, next_attempt_at):
                self._evolve(
                    activity_id, attempt=attempt, delivery=1, next_attempt_at=next_attempt_at
                )
            case AttemptDelivered(activity_id, attempt, delivery):
                self._evolve(activity_id, attempt=attempt, delivery=delivery)
            case CancelRequested(activity_id):
                self._evolve(activity_id, cancel_requested=True)
            case RunOpened(run_id, workflow_type, started_at):
                self.summary = WorkflowSummary(
                    workflow_id=self.workflow_id,
                    run_id=run_id,
                    workflow_type=workflow_type,
                    status=WorkflowStatus.RUNNING,
                    started_at=started_at,
                )
            case RunClosed(status, closed_at, failure_reason):
                self.timers.clear()
                self.activities.clear()
                assert self.summary is not None
                self.summary = attrs.evolve(
                    self.summary, status=status, closed_at=closed_at, failure_reason=failure_reason
                )
            case _:
                assert_never(change)

    def _evolve(self, activity_id: ActivityId, **fields: object) -> None:
        row = self.activities.get(activity_id)
        if row is None:
            raise HistoryShapeError(
                f"workflow {self.workflow_id!r}: event {self.head} is about {activity_id}, "
                "which is not open"
            )
        self.activities[activity_id] = attrs.evolve(row, **fields)  # type: ignore[arg-type]  # of a row
