"""Events: the facts that history is made of. They stay on disk, so a field is only ever added.

Three classes of events (see ``docs/architecture.md``): an *arrival* comes from outside the code
and activates it, an *intent* records what the code asked for, a *note* is the engine's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import Payload
from aion_core.policies import ActivityOptions

__all__ = [
    "ARRIVALS",
    "INTENTS",
    "UNVERSIONED",
    "ActivityCancelRequested",
    "ActivityCancelled",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityScheduled",
    "ActivityStarted",
    "HistoryEvent",
    "ParentRef",
    "SignalReceived",
    "TimerCancelled",
    "TimerFired",
    "TimerStarted",
    "WorkflowCompleted",
    "WorkflowFailed",
    "WorkflowStarted",
    "is_arrival",
    "is_intent",
    "is_terminal",
]

UNVERSIONED = "unversioned"
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
    child_key: str


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
    package_version: str
    random_seed: int
    parent: ParentRef | None = None
    attributes: dict[str, Any] | None = None
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
class ActivityScheduled(HistoryEvent):
    """The code called an activity. Starts attempt 1."""

    activity_id: ActivityId
    activity_type: str
    input: Payload
    options: ActivityOptions


@attrs.frozen(kw_only=True)
class ActivityStarted(HistoryEvent):
    """Recovery is about to run an unfinished attempt again.

    Attributes:
        attempt: which one.
        delivery: how often it has been handed out, this time included; the first leaves no event.
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


ARRIVALS = (
    WorkflowStarted,
    ActivityCompleted,
    ActivityCancelled,
    TimerFired,
    SignalReceived,
)
"""Events that always activate the code; a final `ActivityFailed` does, too."""

INTENTS = (
    ActivityScheduled,
    ActivityCancelRequested,
    TimerStarted,
    TimerCancelled,
    WorkflowCompleted,
    WorkflowFailed,
)
"""Events that record a command of the code."""

_TERMINALS = (WorkflowCompleted, WorkflowFailed)


def is_arrival(event: HistoryEvent) -> bool:
    """Does this event activate the code?"""
    if isinstance(event, ActivityFailed):
        return event.next_attempt_at is None and not event.held
    return isinstance(event, ARRIVALS)


def is_intent(event: HistoryEvent) -> bool:
    """Does this event record a command?"""
    return isinstance(event, INTENTS)


def is_terminal(event: HistoryEvent) -> bool:
    """Does this event end its run?"""
    return isinstance(event, _TERMINALS)
