"""Facts: what is recorded of a workflow's newest run, beside the rows that stores keep of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.history import ActivityRow
from aion_core.ids import START_TIMER, ActivityId, ChildKey

__all__ = ["RunFacts"]


class RunFacts:
    """Kept up to date event by event.

    Attributes:
        started: the first event of the run.
        origin: that of the run which was started from outside, and of which this one goes on.
        terminal: the event that ended it.
        scheduled: the events that its open activities began with.
        failed: how the last attempt failed of those that are tried again.
        children: the events that its children began with that have not ended.
        cancel_seq: the event by which somebody asked it to stop.
        has_begun: its code has run: it was started at once, or the timer of its start has fired.
        updates: ids of those that were accepted and have no answer, in order.
    """

    __slots__ = (
        "cancel_seq",
        "children",
        "failed",
        "has_begun",
        "origin",
        "scheduled",
        "started",
        "terminal",
        "updates",
    )

    def __init__(
        self, history: Sequence[e.HistoryEvent], activities: Iterable[ActivityRow]
    ) -> None:
        self.started: e.WorkflowStarted | None = None
        self.origin: e.WorkflowStarted | None = None
        self.terminal: e.HistoryEvent | None = None
        self.scheduled: dict[ActivityId, e.ActivityScheduled] = {}
        self.failed: dict[ActivityId, e.ActivityFailed] = {}
        self.children: dict[ChildKey, e.ChildWorkflowStarted] = {}
        self.cancel_seq: int | None = None
        self.has_begun = False
        self.updates: dict[str, None] = {}
        for event in history:
            self.take(event)
        self.settle(history, activities)

    def settle(self, history: Sequence[e.HistoryEvent], activities: Iterable[ActivityRow]) -> None:
        """All of the history has been taken. Raises `HistoryShapeError` if the rows differ."""
        # Rows name their start, so that what a reopening took back is not found here.
        self.scheduled = {each.activity_id: _start_of(each, history) for each in activities}

    def take(self, event: e.HistoryEvent) -> None:
        """Take one more event."""
        match event:
            case e.ActivityScheduled():
                self.scheduled[event.activity_id] = event
            case e.ActivityFailed() if not e.is_arrival(event):
                self.failed[event.activity_id] = event
            case e.ActivityCompleted() | e.ActivityCancelled() | e.ActivityFailed():
                self.scheduled.pop(event.activity_id, None)
                self.failed.pop(event.activity_id, None)
            case e.ChildWorkflowStarted():
                self.children[event.child_key] = event
            case e.ChildWorkflowCompleted() | e.ChildWorkflowFailed() | e.ChildWorkflowCancelled():
                self.children.pop(event.child_key, None)
            case e.WorkflowCancelRequested():
                self.cancel_seq = event.seq
            case e.UpdateAccepted():
                self.updates[event.update_id] = None
            case e.UpdateCompleted() | e.UpdateFailed():
                self.updates.pop(event.update_id, None)
            case _:
                self._take_landmark(event)

    def _take_landmark(self, event: e.HistoryEvent) -> None:
        match event:
            case e.WorkflowStarted():
                self.started, self.terminal, self.cancel_seq = event, None, None
                self.has_begun = event.not_before is None
                if event.continued_from is None:
                    self.origin = event
                self.scheduled.clear()
                self.failed.clear()
                self.children.clear()
            case e.TimerFired() if event.timer_id == START_TIMER:
                self.has_begun = True
            case e.WorkflowReopened():
                self.terminal = None
                if self.cancel_seq is not None and self.cancel_seq >= event.from_seq:
                    self.cancel_seq = None
            case _ if e.is_terminal(event):
                self.terminal = event


def _start_of(activity: ActivityRow, history: Sequence[e.HistoryEvent]) -> e.ActivityScheduled:
    seq = activity.scheduled_seq
    scheduled = history[seq - 1] if 0 < seq <= len(history) else None
    if not isinstance(scheduled, e.ActivityScheduled):
        raise HistoryShapeError(f"{activity.activity_id} is open, but event {seq} did not start it")
    return scheduled
