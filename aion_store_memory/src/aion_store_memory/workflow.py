"""What the store keeps of one workflow: its events, encoded, and the rows that follow from them.

Rows follow by `RunProjection` and by nothing else. Who may write, and when, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from aion_core import events as e
from aion_core.codec import decode_event, from_micros
from aion_core.errors import AionError, HistoryShapeError, SequenceConflictError, StoreError
from aion_core.events import HistoryEvent
from aion_core.history import RunProjection, WorkflowSummary
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus
from aion_core.storing import EventRow

__all__ = ["Start", "StoredWorkflow"]


@attrs.frozen
class Start:
    """An attempt was begun under a rate limit.

    Attributes:
        limit: its name.
        window: seconds for which the start counts.
    """

    limit: str
    at: datetime
    window: float


class StoredWorkflow:
    """One workflow's part of the store.

    Attributes:
        rows: its events, encoded.
        projection: what follows from them.
        heartbeats: last details by ``scheduled_seq`` of an open activity.
        stuck: why its open run cannot go on.
    """

    def __init__(self, workflow_id: WorkflowId) -> None:
        self.workflow_id = workflow_id
        self.rows: list[EventRow] = []
        self.projection = RunProjection(workflow_id)
        self.heartbeats: dict[int, Payload] = {}
        self.stuck: str | None = None

    @property
    def summary(self) -> WorkflowSummary:
        """The summary, with what the events alone do not say."""
        assert self.projection.summary is not None
        return attrs.evolve(self.projection.summary, events=self.projection.head, stuck=self.stuck)

    @property
    def goes_on(self) -> bool:
        """Is what it has open to be done? Not while it is paused or stuck."""
        summary = self.projection.summary
        return (
            summary is not None and summary.status is WorkflowStatus.RUNNING and self.stuck is None
        )

    def require_head(self, expected_seq: int) -> None:
        """Refuse an append that was made for another history.

        Raises:
            SequenceConflictError: the history ends elsewhere.
        """
        if self.projection.head != expected_seq:
            raise SequenceConflictError(self.workflow_id, expected_seq, self.projection.head)

    def append(self, rows: Sequence[EventRow]) -> list[Start]:
        """Add the next events, all or none of them; returns the starts under a rate limit.

        Raises:
            StoreError: they cannot follow what is there, or one cannot be read back.
        """
        stuck, heartbeats = self.stuck, self.heartbeats
        starts: list[Start] = []
        try:
            # What is read back later, not what was handed in: the two must be the same.
            for event in self.decode(rows):
                self.projection.apply(event)
                if isinstance(event, e.ActivityStarted):
                    starts += self._start(event)
                if not self.projection.is_open:
                    stuck = None
                if heartbeats:
                    heartbeats = self._of_open_activities(heartbeats)
        except AionError as error:
            self.projection = RunProjection(self.workflow_id, self.decode(self.rows))
            if isinstance(error, HistoryShapeError):
                raise StoreError(f"an append cannot be stored: {error}") from error
            raise
        self.rows += rows
        self.stuck, self.heartbeats = stuck, heartbeats
        return starts

    def put_heartbeat(
        self, run_id: RunId, activity_id: ActivityId, attempt: int, details: Payload
    ) -> None:
        """Keep an attempt's details, if it is the current one of an open activity."""
        summary = self.projection.summary
        activity = self.projection.activities.get(activity_id)
        if summary is None or activity is None:
            return
        if (summary.run_id, activity.attempt) == (run_id, attempt):
            self.heartbeats[activity.scheduled_seq] = details

    def decode(self, rows: Iterable[EventRow]) -> Iterable[HistoryEvent]:
        """Read events back."""
        for row in rows:
            yield self.decode_one(row)

    def decode_one(self, row: EventRow) -> HistoryEvent:
        """Read an event back."""
        return decode_event(
            row.kind,
            row.data,
            seq=row.seq,
            recorded_at=from_micros(row.recorded_at),
            workflow_id=self.workflow_id,
        )

    def _start(self, event: e.ActivityStarted) -> list[Start]:
        rate = self.projection.activities[event.activity_id].rate
        return [] if rate is None else [Start(rate.name, event.recorded_at, rate.window)]

    def _of_open_activities(self, heartbeats: Mapping[int, Payload]) -> dict[int, Payload]:
        still_open = {row.scheduled_seq for row in self.projection.activities.values()}
        return {seq: details for seq, details in heartbeats.items() if seq in still_open}
