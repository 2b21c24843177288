"""Projections: what follows from events, for every store and the engine by one rule.

`changes` says what one event does to the rows a store keeps beside its events; `RunProjection`
is those rows in memory. A store applies the changes in the transaction that appends the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

import attrs

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.events import ParentRef, ReopenedActivity, TimerRow
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.values import Attributes, AttributeValue, merged_attributes

__all__ = [
    "ActivityHeld",
    "ActivityOpened",
    "ActivityRow",
    "ActivitySettled",
    "AttemptDelivered",
    "AttemptPlanned",
    "AttributesMerged",
    "CancelRequested",
    "Change",
    "RateRow",
    "RunClosed",
    "RunOpened",
    "RunPaused",
    "RunProjection",
    "RunReopened",
    "RunResumed",
    "RunSummary",
    "TimerArmed",
    "TimerRow",
    "TimerSettled",
    "WorkflowSummary",
    "changes",
    "current_status",
    "run_chain",
]


@attrs.frozen(kw_only=True)
class WorkflowSummary:
    """One line about a workflow, for lists.

    Attributes:
        run_id: of its newest run, as all that follows.
        events: length of its history.
        parent: who started it as a child.
        attributes: what it is searched by.
        failed_activity: the last activity that failed for good; None once the run has closed for
            another reason.
        failure_reason: type and message of the error, when the run failed; why it was ended from
            outside, when it was.
        stuck: why the open run cannot go on; None when it can.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    status: WorkflowStatus
    started_at: datetime
    closed_at: datetime | None = None
    events: int = 0
    parent: ParentRef | None = None
    attributes: Mapping[str, AttributeValue] = attrs.Factory(dict)
    failed_activity: ActivityId | None = None
    failure_reason: str | None = None
    stuck: str | None = None


@attrs.frozen(kw_only=True)
class RunSummary:
    """One run of a workflow, as a link of its chain.

    Attributes:
        continued_from: the run before it; None for the first.
    """

    run_id: RunId
    continued_from: RunId | None
    status: WorkflowStatus
    started_at: datetime
    closed_at: datetime | None = None


@attrs.frozen
class RateRow:
    """The rate limit of an activity, by which the starts of its attempts are kept.

    Attributes:
        window: seconds for which a start counts.
    """

    name: str
    window: float


@attrs.frozen(kw_only=True)
class ActivityRow:
    """An activity without an outcome.

    Attributes:
        scheduled_seq: the event that started it, its name for outcomes.
        attempt: the current one, from 1.
        delivery: how often this attempt has been handed out.
        next_attempt_at: when the current attempt may begin; None for at once.
        cancel_requested: the code no longer wants it.
        held: its attempts are over, and it waits for an operator.
        deadline: when the time for all of its attempts is over; None for never.
        rate: its rate limit, if it has one.
    """

    activity_id: ActivityId
    activity_type: str
    scheduled_seq: int
    attempt: int = 1
    delivery: int = 1
    next_attempt_at: datetime | None = None
    cancel_requested: bool = False
    held: bool = False
    deadline: datetime | None = None
    rate: RateRow | None = None


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
    """The activity waits for an operator."""

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


def changes(event: e.HistoryEvent) -> Change | None:
    """What an event does to the rows of its workflow; None for nothing."""
    match event:
        case e.ActivityScheduled():
            return ActivityOpened(_scheduled(event))
        case e.ActivityCompleted() | e.ActivityCancelled():
            return ActivitySettled(event.activity_id)
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
    limit = options.limit
    return ActivityRow(
        activity_id=event.activity_id,
        activity_type=event.activity_type,
        scheduled_seq=event.seq,
        deadline=(
            None
            if options.schedule_to_close is None
            else event.recorded_at + timedelta(seconds=options.schedule_to_close)
        ),
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
    )


def _closed(event: e.HistoryEvent) -> RunClosed | None:
    status = _CLOSED_BY.get(type(event))
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


_CLOSED_BY: dict[type[e.HistoryEvent], WorkflowStatus] = {
    e.WorkflowCompleted: WorkflowStatus.COMPLETED,
    e.WorkflowFailed: WorkflowStatus.FAILED,
    e.WorkflowCancelled: WorkflowStatus.CANCELLED,
    e.WorkflowTerminated: WorkflowStatus.TERMINATED,
    e.WorkflowTimedOut: WorkflowStatus.TIMED_OUT,
    e.WorkflowContinuedAsNew: WorkflowStatus.CONTINUED_AS_NEW,
}

_DECIDES: dict[type[e.HistoryEvent], WorkflowStatus] = {
    **_CLOSED_BY,
    e.WorkflowStarted: WorkflowStatus.RUNNING,
    e.WorkflowReopened: WorkflowStatus.RUNNING,
    e.WorkflowResumed: WorkflowStatus.RUNNING,
    e.WorkflowPaused: WorkflowStatus.PAUSED,
}


def current_status(history: Sequence[e.HistoryEvent]) -> WorkflowStatus | None:
    """Where the newest run stands: the last event that says something decides.

    A request to cancel says nothing, nor does adopted code. None for an empty history.
    """
    for event in reversed(history):
        status = _DECIDES.get(type(event))
        if status is not None:
            return status
    return None


def run_chain(workflow_id: WorkflowId, history: Iterable[e.HistoryEvent]) -> list[RunSummary]:
    """The runs of a workflow, from the first to the newest; none for an empty history.

    Raises:
        HistoryShapeError: two runs are the first, two follow the same one, or one follows a run
            that is not there.
    """
    runs: list[RunSummary] = []
    for event in history:
        if isinstance(event, e.WorkflowStarted):
            runs.append(
                RunSummary(
                    run_id=event.run_id,
                    continued_from=event.continued_from,
                    status=WorkflowStatus.RUNNING,
                    started_at=event.recorded_at,
                )
            )
        elif runs and (status := _DECIDES.get(type(event))):
            closed_at = event.recorded_at if status.is_closed else None
            runs[-1] = attrs.evolve(runs[-1], status=status, closed_at=closed_at)
    return _linked(workflow_id, runs)


def _linked(workflow_id: WorkflowId, runs: Sequence[RunSummary]) -> list[RunSummary]:
    successors: dict[RunId | None, RunSummary] = {}
    for run in runs:
        other = successors.setdefault(run.continued_from, run)
        if other is not run:
            place = f"follow run {run.continued_from}" if run.continued_from else "are the first"
            raise HistoryShapeError(
                f"workflow {workflow_id!r}: the runs {other.run_id} and {run.run_id} both {place}"
            )
    chain: list[RunSummary] = []
    before: RunId | None = None
    while (run_after := successors.pop(before, None)) is not None:
        chain.append(run_after)
        before = run_after.run_id
    if successors:
        lost = next(iter(successors.values()))
        raise HistoryShapeError(
            f"workflow {workflow_id!r}: run {lost.run_id} follows run {lost.continued_from}, "
            "to which no chain of runs leads"
        )
    return chain


class RunProjection:
    """The state of a workflow's newest run, kept up to date event by event.

    Attributes:
        summary: None before the first event; leaves counting the events to ``head``.
        head: seq of the last event, 0 when there is none.
        last_recorded_at: None when there is none.
        timers: open timers by id, in order of their start.
        activities: open activities by id, in order of their start.
        signal_ids: every signal id ever recorded.
        update_ids: every update id ever accepted.
    """

    def __init__(self, workflow_id: WorkflowId, history: Iterable[e.HistoryEvent] = ()) -> None:
        self.workflow_id = workflow_id
        self.summary: WorkflowSummary | None = None
        self.head = 0
        self.last_recorded_at: datetime | None = None
        self.timers: dict[TimerId, TimerRow] = {}
        self.activities: dict[ActivityId, ActivityRow] = {}
        self.signal_ids: set[str] = set()
        self.update_ids: set[str] = set()
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
        elif isinstance(event, e.UpdateAccepted):
            self.update_ids.add(event.update_id)
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
            case ActivitySettled(activity_id, failed):
                self.activities.pop(activity_id, None)
                if failed:
                    self._summarize(failed_activity=activity_id)
            case AttemptPlanned(activity_id, attempt, next_attempt_at):
                self._evolve(
                    activity_id, attempt=attempt, delivery=1, next_attempt_at=next_attempt_at
                )
            case AttemptDelivered(activity_id, attempt, delivery):
                self._evolve(
                    activity_id,
                    attempt=attempt,
                    delivery=delivery,
                    next_attempt_at=None,
                    held=False,
                )
            case ActivityHeld(activity_id):
                self._evolve(activity_id, held=True)
            case CancelRequested(activity_id):
                self._evolve(activity_id, cancel_requested=True)
            case _:
                self._apply_to_run(change)

    def _apply_to_run(
        self,
        change: RunOpened | RunClosed | RunReopened | RunPaused | RunResumed | AttributesMerged,
    ) -> None:
        match change:
            case RunOpened():
                self.summary = WorkflowSummary(
                    workflow_id=self.workflow_id,
                    run_id=change.run_id,
                    workflow_type=change.workflow_type,
                    status=WorkflowStatus.RUNNING,
                    started_at=change.started_at,
                    parent=change.parent,
                    attributes=change.attributes,
                )
            case RunClosed():
                self.timers.clear()
                self.activities.clear()
                self._summarize(
                    status=change.status,
                    closed_at=change.closed_at,
                    failure_reason=change.failure_reason,
                )
                if not change.by_activity:
                    self._summarize(failed_activity=None)
            case RunReopened(timers, activities):
                self.timers = {timer.timer_id: timer for timer in timers}
                self.activities = {each.activity_id: each for each in activities}
                self._summarize(
                    status=WorkflowStatus.RUNNING,
                    closed_at=None,
                    failure_reason=None,
                    failed_activity=None,
                )
            case RunPaused():
                self._summarize(status=WorkflowStatus.PAUSED)
            case RunResumed():
                self._summarize(status=WorkflowStatus.RUNNING)
            case AttributesMerged(attributes):
                assert self.summary is not None
                self._summarize(attributes=merged_attributes(self.summary.attributes, attributes))
            case _:
                assert_never(change)

    def _summarize(self, **fields: object) -> None:
        assert self.summary is not None
        self.summary = attrs.evolve(self.summary, **fields)  # type: ignore[arg-type]  # of a summary

    def _evolve(self, activity_id: ActivityId, **fields: object) -> None:
        row = self.activities.get(activity_id)
        if row is None:
            raise HistoryShapeError(
                f"workflow {self.workflow_id!r}: event {self.head} is about {activity_id}, "
                "which is not open"
            )
        self.activities[activity_id] = attrs.evolve(row, **fields)  # type: ignore[arg-type]  # of a row
