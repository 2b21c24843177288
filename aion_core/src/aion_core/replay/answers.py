"""Which resolution an event stands for: what history says to who asked for it."""

from __future__ import annotations

from aion_core import events as e
from aion_core.replay import resolutions as r
from aion_core.replay.terminals import terminal_of

__all__ = ["resolution_of"]


def resolution_of(event: e.HistoryEvent) -> r.Resolution:
    """The resolution that an intent or an arrival records.

    Raises:
        TypeError: the event answers no command.
    """
    match event:
        case e.ActivityCompleted(result=result):
            return r.ActivityCompleted(result)
        case e.ActivityFailed(error=error):
            return r.ActivityFailedTerminal(error)
        case e.ActivityCancelled(detail=detail):
            return r.ActivityCancelled(detail)
        case e.ActivityCancelRequested():
            return r.ActivityCancelRequested()
        case e.TimerStarted(fire_at=fire_at):
            return r.TimerStarted(fire_at)
        case e.TimerFired():
            return r.TimerFired()
        case e.TimerCancelled():
            return r.TimerCancelled()
        case e.SignalReceived(payload=payload):
            return r.SignalDelivered(payload)
        case e.SignalSent():
            return r.SignalSent()
        case e.ChildWorkflowStarted(child_workflow_id=child):
            return r.ChildStarted(child)
        case _:
            return _rarer(event)


def _rarer(event: e.HistoryEvent) -> r.Resolution:
    match event:
        case e.ChildWorkflowCompleted(result=result):
            return r.ChildCompleted(result)
        case e.ChildWorkflowFailed(error=error):
            return r.ChildFailed(error)
        case e.ChildWorkflowCancelled(detail=detail):
            return r.ChildCancelled(detail)
        case e.ChildCancelRequested():
            return r.ChildCancelRequested()
        case e.MarkerRecorded(payload=payload, failure=failure):
            return r.MarkerRecorded(payload, failure)
        case e.SearchAttributesUpdated():
            return r.AttributesUpdated()
        case e.UpdateCompleted(result=result):
            return r.UpdateCompleted(result)
        case e.UpdateFailed(error=error):
            return r.UpdateFailed(error)
        case _ if e.is_terminal(event):
            return r.RunEnded(terminal_of(event))
        case _:
            raise TypeError(f"{type(event).__name__} answers no command")
