"""The one matching rule: which intent event a command leaves, and when two intents are the same.

Compared are the family, the key and, for activities, the type: never input or options, because
those recorded hold.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from aion_core import commands as c
from aion_core import events as e
from aion_core.ids import WorkflowId

__all__ = ["describe", "intent_of", "same_intent"]


def intent_of(
    command: c.Command, seq: int, recorded_at: datetime, workflow_id: WorkflowId
) -> e.HistoryEvent:
    """The event that records a command."""
    match command:
        case c.RunActivity(activity_id, activity_type, input_, options):
            return e.ActivityScheduled(
                seq=seq,
                recorded_at=recorded_at,
                workflow_id=workflow_id,
                activity_id=activity_id,
                activity_type=activity_type,
                input=input_,
                options=options,
            )
        case c.CancelActivity(activity_id):
            return e.ActivityCancelRequested(
                seq=seq, recorded_at=recorded_at, workflow_id=workflow_id, activity_id=activity_id
            )
        case c.StartTimer(timer_id, fire_at):
            return e.TimerStarted(
                seq=seq,
                recorded_at=recorded_at,
                workflow_id=workflow_id,
                timer_id=timer_id,
                fire_at=fire_at,
            )
        case c.CancelTimer(timer_id):
            return e.TimerCancelled(
                seq=seq, recorded_at=recorded_at, workflow_id=workflow_id, timer_id=timer_id
            )
        case c.CompleteWorkflow(result):
            return e.WorkflowCompleted(
                seq=seq, recorded_at=recorded_at, workflow_id=workflow_id, result=result
            )
        case c.FailWorkflow(error):
            return e.WorkflowFailed(
                seq=seq, recorded_at=recorded_at, workflow_id=workflow_id, error=error
            )
        case _:
            assert_never(command)


def same_intent(asked: e.HistoryEvent, recorded: e.HistoryEvent) -> bool:
    """Does what the code asks for now stand for what history holds?"""
    return type(asked) is type(recorded) and _key(asked) == _key(recorded)


def _key(intent: e.HistoryEvent) -> object:
    match intent:
        case e.ActivityScheduled():
            return intent.activity_id, intent.activity_type
        case e.ActivityCancelRequested():
            return intent.activity_id
        case e.TimerStarted() | e.TimerCancelled():
            return intent.timer_id
        case e.WorkflowCompleted():
            return intent.result
        case e.WorkflowFailed():
            return intent.error.type
        case _:
            raise TypeError(f"{type(intent).__name__} records no command")


def describe(event: e.HistoryEvent) -> str:
    """An event in a few words, for an error message."""
    name = type(event).__name__
    match event:
        case e.ActivityScheduled():
            return f"{name} of {event.activity_type!r} ({event.activity_id})"
        case e.ActivityCancelRequested():
            return f"{name} ({event.activity_id})"
        case e.TimerStarted() | e.TimerCancelled():
            return f"{name} ({event.timer_id})"
        case e.WorkflowFailed():
            return f"{name} ({event.error.type}: {event.error.message})"
        case _:
            return name
