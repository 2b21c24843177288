"""What the store keeps of one workflow: its events, encoded, and the rows that follow from them.

Rows follow by `RunProjection` and by nothing else. Who may write, and when, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from aion_core.codec import decode_event, from_micros
from aion_core.contracts import Append
from aion_core.errors import AionError, HistoryShapeError, SequenceConflictError, StoreError
from aion_core.events import HistoryEvent
from aion_core.history import RunProjection, WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.storing import EventRow, event_rows

__all__ = ["StoredWorkflow"]


class StoredWorkflow:
    """One workflow's part of the store.

    Attributes:
        rows: its events, encoded.
        projection: what follows from them.
    """

    def __init__(self, workflow_id: WorkflowId) -> None:
        self.workflow_id = workflow_id
        self.rows: list[EventRow] = []
        self.projection = RunProjection(workflow_id)

    @property
    def summary(self) -> WorkflowSummary:
        """The summary, with the length of the history."""
        assert self.projection.summary is not None
        return attrs.evolve(self.projection.summary, events=self.projection.head)

    def append(self, append: Append) -> None:
        """Add events, all or none of them.

        Raises:
            SequenceConflictError: the history ends elsewhere.
            StoreError: they are not the next events, or one cannot be stored.
        """
        rows = event_rows(append)
        head = self.projection.head
        if head != append.expected_seq:
            raise SequenceConflictError(self.workflow_id, append.expected_seq, head)
        try:
            # What is read back later, not what was handed in: the two must be the same.
            for event in self.decode(rows):
                self.projection.apply(event)
        except AionError as error:
            self.projection = RunProjection(self.workflow_id, self.decode(self.rows))
            if isinstance(error, HistoryShapeError):
                raise StoreError(f"an append cannot be stored: {error}") from error
            raise
        self.rows += rows

    def decode(self, rows: Iterable[EventRow]) -> Iterable[HistoryEvent]:
        """Read events back."""
        for row in rows:
            yield decode_event(
                row.kind,
                row.data,
                seq=row.seq,
                recorded_at=from_micros(row.recorded_at),
                workflow_id=self.workflow_id,
            )
