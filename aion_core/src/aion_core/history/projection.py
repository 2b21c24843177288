"""The rows of a workflow in memory, kept up to date event by event."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import assert_never

import attrs

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.history.changing import (
    ActivityHeld,
    ActivityOpened,
    ActivitySettled,
    AttemptDelivered,
    AttemptPlanned,
    AttributesMerged,
    CancelRequested,
    Change,
    RunClosed,
    RunOpened,
    RunPaused,
    RunReopened,
    RunResumed,
    TimerArmed,
    TimerSettled,
    changes,
)
from aion_core.history.rows import ActivityRow, TimerRow, WorkflowSummary
from aion_core.ids import ActivityId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.values import merged_attributes

__all__ = ["RunProjection"]

_NO_IDS: frozenset[str] = frozenset()
"""Most runs get no signal with an id and no update, and a set of their own takes 200 bytes."""


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
        self.signal_ids: AbstractSet[str] = _NO_IDS
        self.update_ids: AbstractSet[str] = _NO_IDS
        for event in history:
            self.apply(event)

    @classmethod
    def restored(
        cls,
        summary: WorkflowSummary,
        timers: Iterable[TimerRow],
        activities: Iterable[ActivityRow],
    ) -> RunProjection:
        """The state that rows of a store stand for, to go on from there with `apply`.

        Ids of signals and updates, and the last instant, are not among the rows.
        """
        projection = cls(summary.workflow_id)
        projection.summary = summary
        projection.head = summary.events
        projection.timers = {timer.timer_id: timer for timer in timers}
        projection.activities = {each.activity_id: each for each in activities}
        return projection

    @property
    def is_open(self) -> bool:
        """True while the run takes arrivals."""
        return self.summary is not None and not self.summary.status.is_closed

    def apply(self, event: e.HistoryEvent) -> Change | None:
        """Take one more event; returns what `changes` says of it.

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
        if isinstance(event, e.SignalReceived):
            if event.signal_id is not None:
                self.signal_ids = _with(self.signal_ids, event.signal_id)
        elif isinstance(event, e.UpdateAccepted):
            self.update_ids = _with(self.update_ids, event.update_id)
        change = changes(event)
        if change is not None:
            self._apply_change(change)
        return change

    def _apply_change(self, change: Change) -> None:
        match change:
            # By far the most; their parts are not taken out by patterns, which takes its time.
            case ActivityOpened():
                self.activities[change.activity.activity_id] = change.activity
            case ActivitySettled():
                self.activities.pop(change.activity_id, None)
                if change.failed:
                    self._summarize(failed_activity=change.activity_id)
            case TimerArmed(timer):
                self.timers[timer.timer_id] = timer
            case TimerSettled(timer_id):
                self.timers.pop(timer_id, None)
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
                self._summarize(failed_activity=activity_id)
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
                assert self.summary is not None
                self._summarize(
                    status=change.status,
                    closed_at=change.closed_at,
                    failure_reason=change.failure_reason,
                    stuck=None,
                    failed_activity=self.summary.failed_activity if change.by_activity else None,
                )
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


def _with(ids: AbstractSet[str], found: str) -> set[str]:
    """The same set with one more; the first one makes it."""
    made = ids if isinstance(ids, set) else set(ids)
    made.add(found)
    return made
