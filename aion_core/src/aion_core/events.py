"""Events: the facts that history is made of. They stay on disk, so a field is only ever added.

Three classes of events (see ``docs/architecture.md``): an *arrival* comes from outside the code
and activates it, an *intent* records what the code asked for, a *note* is the engine's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import attrs

from aion_core.commands import ClosePolicy
from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, PackageVersion, RunId, TimerId, WorkflowId
from aion_core.payloads import Payload
from aion_core.policies import ActivityOptions
from aion_core.values import Attributes

__all__ = [
    "ARRIVALS",
    "INTENTS",
    "TERMINALS",
    "UNVERSIONED",
    "ActivityCancelRequested",
    "ActivityCancelled",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityScheduled",
    "ActivityStarted",
    "ChildCancelRequested",
    "ChildWorkflowCancelled",
    "ChildWorkflowCompleted",
    "ChildWorkflowFailed",
    "ChildWorkflowStarted",
    "HistoryEvent",
    "MarkerRecorded",
    "ParentRef",
    "RateRow",
    "ReopenedActivity",
    "ScheduleCreated",
    "ScheduleDeleted",
    "SchedulePaused",
    "ScheduleResumed",
    "ScheduleTriggered",
    "ScheduleUpdated",
    "SearchAttributesUpdated",
    "SignalReceived",
    "SignalSent",
    "TimerCancelled",
    "TimerFired",
    "TimerRow",
    "TimerStarted",
    "UpdateAccepted",
    "UpdateCompleted",
    "UpdateFailed",
    "WorkflowCancelRequested",
    "WorkflowCancelled",
    "WorkflowCompleted",
    "WorkflowContinuedAsNew",
    "WorkflowFailed",
    "WorkflowPaused",
    "WorkflowReopened",
    "WorkflowResumed",
    "WorkflowStarted",
    "WorkflowTerminated",
    "WorkflowTimedOut",
    "WorkflowVersionAdopted",
    "is_arrival",
    "is_intent",
    "is_terminal",
]

UNVERSIONED = PackageVersion("unversioned")
"""Package version of code whose content was not hashed."""


@attrs.frozen(kw_only=True)
class HistoryEvent:
    """The envelope.

    Attributes:
        seq: place in the workflow's history, from 1 without gaps.
        recorded_at: aware UTC; never goes back within a workflow. The only source of ``now()``.
        workflow_id: whose history.
    """

    seq: int
    recorded_at: datetime
    workflow_id: WorkflowId


@attrs.frozen(kw_only=True)
class ParentRef:
    """Which run started this one as its child."""

    workflow_id: WorkflowId
    run_id: RunId
    child_key: ChildKey


@attrs.frozen(kw_only=True)
class TimerRow:
    """A timer that has neither fired nor been cancelled.

    Attributes:
        started_seq: the event that started it, its name for firings.
    """

    timer_id: TimerId
    started_seq: int
    fire_at: datetime


@attrs.frozen
class RateRow:
    """The rate limit of an activity, by which the starts of its attempts are kept.

    Attributes:
        window: seconds for which a start counts.
    """

    name: str
    window: float


@attrs.frozen(kw_only=True)
class ReopenedActivity:
    """An activity that is open again in a reopened run, with the attempt that comes next.

    Attributes:
        deadline: when the time for all of its attempts is over; None for never.
        rate: its rate limit, if it has one.
    """

    activity_id: ActivityId
    activity_type: str
    scheduled_seq: int
    attempt: int
    deadline: datetime | None = None
    rate: RateRow | None = None


@attrs.frozen(kw_only=True)
class WorkflowStarted(HistoryEvent):
    """A run begins.

    Attributes:
        workflow_type: name of the definition.
        input: the arguments, as one JSON object by parameter name.
        run_id: of this execution.
        continued_from: the run that this one goes on from.
        package_version: content hash of the workflow's code, or ``unversioned``.
        random_seed: what the run's random numbers are drawn from.
        parent: who started it as a child.
        attributes: to be searched for.
        run_deadline: when the run is ended from outside.
        not_before: when the code first runs.
        memo: a note of the starter's.
    """

    workflow_type: str
    input: Payload
    run_id: RunId
    continued_from: RunId | None = None
    package_version: PackageVersion
    random_seed: int
    parent: ParentRef | None = None
    attributes: Attributes | None = None
    run_deadline: datetime | None = None
    not_before: datetime | None = None
    memo: Payload | None = None


@attrs.frozen(kw_only=True)
class WorkflowCompleted(HistoryEvent):
    """The code returned."""

    result: Payload


@attrs.frozen(kw_only=True)
class WorkflowFailed(HistoryEvent):
    """The code raised."""

    error: Failure


@attrs.frozen(kw_only=True)
class WorkflowCancelRequested(HistoryEvent):
    """Somebody asks the code to stop. It may clean up, or decline."""

    reason: str


@attrs.frozen(kw_only=True)
class WorkflowCancelled(HistoryEvent):
    """The code ended by the cancellation that was asked for."""

    reason: str


@attrs.frozen(kw_only=True)
class WorkflowTerminated(HistoryEvent):
    """An operator ended the run; the code was not asked."""

    reason: str


@attrs.frozen(kw_only=True)
class WorkflowTimedOut(HistoryEvent):
    """The run's time was over; the code was not asked.

    Attributes:
        timeout: which of its limits.
    """

    timeout: Literal["run"]


@attrs.frozen(kw_only=True)
class WorkflowContinuedAsNew(HistoryEvent):
    """The run ends, and its workflow goes on as another run.

    Attributes:
        input: of the successor.
        successor_run_id: the run whose WorkflowStarted follows.
        workflow_type: of the successor; None for the same.
    """

    input: Payload
    successor_run_id: RunId
    workflow_type: str | None = None


@attrs.frozen(kw_only=True)
class WorkflowReopened(HistoryEvent):
    """A closed run goes on from before its failure.

    Attributes:
        from_seq: the first event that is void; the last is the one before this.
        reopened: activities that are open again.
        timers: timers that are armed again, for the instant they were started for.
    """

    run_id: RunId
    from_seq: int
    reopened: tuple[ReopenedActivity, ...] = ()
    timers: tuple[TimerRow, ...] = ()


@attrs.frozen(kw_only=True)
class WorkflowPaused(HistoryEvent):
    """The code is not activated until it is resumed."""

    run_id: RunId
    reason: str | None = None
    operator: str | None = None


@attrs.frozen(kw_only=True)
class WorkflowResumed(HistoryEvent):
    """What gathered meanwhile follows."""

    run_id: RunId
    operator: str | None = None


@attrs.frozen(kw_only=True)
class WorkflowVersionAdopted(HistoryEvent):
    """From here on the run goes by other code, which fits all that is recorded before."""

    package_version: PackageVersion


@attrs.frozen(kw_only=True)
class SearchAttributesUpdated(HistoryEvent):
    """The code changed what the run is found by; merged by key, None takes one away."""

    position: str
    attributes: Attributes


@attrs.frozen(kw_only=True)
class ActivityScheduled(HistoryEvent):
    """The code called an activity. Starts attempt 1."""

    activity_id: ActivityId
    activity_type: str
    input: Payload
    options: ActivityOptions


@attrs.frozen(kw_only=True)
class ActivityStarted(HistoryEvent):
    """An attempt is about to begin: again, after a crash; by hand; or under a rate limit.

    Attributes:
        attempt: which one.
        delivery: how often it has been handed out, this time included. What an engine that stops in
            order takes back is not counted; without a rate limit the first leaves no event.
    """

    activity_id: ActivityId
    attempt: int
    delivery: int


@attrs.frozen(kw_only=True)
class ActivityCompleted(HistoryEvent):
    """An attempt returned.

    Attributes:
        supplied_by: the operator who gave the result by hand.
    """

    activity_id: ActivityId
    result: Payload
    attempt: int
    supplied_by: str | None = None


@attrs.frozen(kw_only=True)
class ActivityFailed(HistoryEvent):
    """An attempt failed.

    With ``next_attempt_at`` or ``held`` it is a note and the activity stays open; else it is the
    outcome, and an arrival.

    Attributes:
        next_attempt_at: starts the next attempt, at this time.
        held: waits for an operator.
        heartbeat: details of the attempt's last heartbeat.
    """

    activity_id: ActivityId
    error: Failure
    attempt: int
    next_attempt_at: datetime | None = None
    held: bool = False
    heartbeat: Payload | None = None


@attrs.frozen(kw_only=True)
class ActivityCancelRequested(HistoryEvent):
    """The code cancelled the scope in which it awaits the activity."""

    activity_id: ActivityId


@attrs.frozen(kw_only=True)
class ActivityCancelled(HistoryEvent):
    """The activity ended by the code's request.

    Attributes:
        attempt: which was running; None when none was.
        detail: what is known of it.
    """

    activity_id: ActivityId
    attempt: int | None = None
    detail: str | None = None


@attrs.frozen(kw_only=True)
class TimerStarted(HistoryEvent):
    """The code waits until an instant."""

    timer_id: TimerId
    fire_at: datetime


@attrs.frozen(kw_only=True)
class TimerFired(HistoryEvent):
    """The instant has come. ``started_seq`` names the timer's start."""

    timer_id: TimerId
    started_seq: int


@attrs.frozen(kw_only=True)
class TimerCancelled(HistoryEvent):
    """The code no longer waits for it."""

    timer_id: TimerId


@attrs.frozen(kw_only=True)
class SignalReceived(HistoryEvent):
    """Somebody sent a value. ``signal_id`` is the sender's name for this one delivery."""

    name: str
    payload: Payload
    signal_id: str | None = None


@attrs.frozen(kw_only=True)
class SignalSent(HistoryEvent):
    """The code sent a value to another workflow."""

    position: str
    target_workflow_id: WorkflowId
    name: str
    payload: Payload


@attrs.frozen(kw_only=True)
class UpdateAccepted(HistoryEvent):
    """The code took an update, whose handler runs from here."""

    update_id: str
    name: str
    arg: Payload


@attrs.frozen(kw_only=True)
class UpdateCompleted(HistoryEvent):
    """The handler of an update returned."""

    update_id: str
    result: Payload


@attrs.frozen(kw_only=True)
class UpdateFailed(HistoryEvent):
    """The handler of an update raised."""

    update_id: str
    error: Failure


@attrs.frozen(kw_only=True)
class ChildWorkflowStarted(HistoryEvent):
    """The code started another workflow as its child.

    Attributes:
        close_policy: what becomes of it when this run closes first.
    """

    child_key: ChildKey
    child_workflow_id: WorkflowId
    workflow_type: str
    input: Payload
    close_policy: ClosePolicy = "cancel"


@attrs.frozen(kw_only=True)
class ChildCancelRequested(HistoryEvent):
    """The code cancelled the scope in which it awaits the child."""

    child_key: ChildKey


@attrs.frozen(kw_only=True)
class ChildWorkflowCompleted(HistoryEvent):
    """The child returned."""

    child_key: ChildKey
    result: Payload


@attrs.frozen(kw_only=True)
class ChildWorkflowFailed(HistoryEvent):
    """The child failed, was ended from outside, or could not be started."""

    child_key: ChildKey
    error: Failure


@attrs.frozen(kw_only=True)
class ChildWorkflowCancelled(HistoryEvent):
    """The child ended by cancellation."""

    child_key: ChildKey
    detail: str | None = None


@attrs.frozen(kw_only=True)
class MarkerRecorded(HistoryEvent):
    """A value that the code got once and for all, or the failure to get it."""

    name: str
    position: str
    payload: Payload | None = None
    failure: Failure | None = None


@attrs.frozen(kw_only=True)
class ScheduleCreated(HistoryEvent):
    """A schedule exists; in the history of the schedules' coordinator, like those that follow."""

    schedule_id: str
    spec: Payload


@attrs.frozen(kw_only=True)
class ScheduleUpdated(HistoryEvent):
    """A schedule has another plan."""

    schedule_id: str
    spec: Payload


@attrs.frozen(kw_only=True)
class SchedulePaused(HistoryEvent):
    """A schedule starts nothing until it is resumed."""

    schedule_id: str
    reason: str | None = None


@attrs.frozen(kw_only=True)
class ScheduleResumed(HistoryEvent):
    """A schedule starts workflows again."""

    schedule_id: str


@attrs.frozen(kw_only=True)
class ScheduleDeleted(HistoryEvent):
    """A schedule is no more."""

    schedule_id: str


@attrs.frozen(kw_only=True)
class ScheduleTriggered(HistoryEvent):
    """A schedule started a workflow."""

    schedule_id: str
    started_workflow_id: WorkflowId


ARRIVALS = (
    WorkflowStarted,
    WorkflowCancelRequested,
    ActivityCompleted,
    ActivityCancelled,
    TimerFired,
    SignalReceived,
    UpdateAccepted,
    ChildWorkflowCompleted,
    ChildWorkflowFailed,
    ChildWorkflowCancelled,
)
"""Events that always activate the code; a final `ActivityFailed` does, too."""

INTENTS = (
    ActivityScheduled,
    ActivityCancelRequested,
    TimerStarted,
    TimerCancelled,
    ChildWorkflowStarted,
    ChildCancelRequested,
    SignalSent,
    MarkerRecorded,
    SearchAttributesUpdated,
    UpdateCompleted,
    UpdateFailed,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowCancelled,
    WorkflowContinuedAsNew,
)
"""Events that record a command of the code."""

TERMINALS = (
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowCancelled,
    WorkflowTerminated,
    WorkflowTimedOut,
    WorkflowContinuedAsNew,
)
"""Events that end their run."""


_ARRIVALS = frozenset(ARRIVALS)
_INTENTS = frozenset(INTENTS)
_TERMINALS = frozenset(TERMINALS)
"""To be looked up in: every event is asked."""


def is_arrival(event: HistoryEvent) -> bool:
    """Does this event activate the code?"""
    if isinstance(event, ActivityFailed):
        return event.next_attempt_at is None and not event.held
    return type(event) in _ARRIVALS


def is_intent(event: HistoryEvent) -> bool:
    """Does this event record a command?"""
    return type(event) in _INTENTS


def is_terminal(event: HistoryEvent) -> bool:
    """Does this event end its run?"""
    return type(event) in _TERMINALS
