"""Rows made anew from the events, after a migration that changed what follows from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from aion_core.errors import HistoryShapeError, StoreError
from aion_core.events import HistoryEvent
from aion_core.history import RunProjection, changes
from aion_core.ids import WorkflowId
from aion_store_sqlite.encoded import seen_id
from aion_store_sqlite.reads import events_after
from aion_store_sqlite.rows import NotOpenError, apply_change, note_seen

__all__ = ["rebuild_rows"]

PIECE = 1000
"""Events of a long history in memory at a time."""


def rebuild_rows(cursor: sqlite3.Cursor) -> None:
    """Make the rows of every workflow by today's rules. Within the caller's transaction.

    A history that cannot be read, or of which no rows can be made, keeps its rows as they are: it
    must not keep the others from being used, and `EventStore.check` names it.
    """
    workflows = cursor.execute("SELECT workflow, workflow_id FROM workflows").fetchall()
    for workflow, workflow_id in workflows:
        cursor.execute("SAVEPOINT one")
        try:
            _rebuild(cursor, workflow, WorkflowId(workflow_id))
        except (StoreError, HistoryShapeError, NotOpenError, ValueError, OverflowError):
            cursor.execute("ROLLBACK TO one")
        cursor.execute("RELEASE one")


def _rebuild(cursor: sqlite3.Cursor, workflow: int, workflow_id: WorkflowId) -> None:
    for table in ("timers", "activities", "attributes", "seen"):
        cursor.execute(f"DELETE FROM {table} WHERE workflow = ?", (workflow,))
    # Only to find out whether they are a history.
    projection = RunProjection(workflow_id)
    for event in _events(cursor, workflow_id):
        projection.apply(event)
        change = changes(event)
        if change is not None:
            apply_change(cursor, workflow, change)
        if (found := seen_id(event)) is not None:
            note_seen(cursor, [(workflow, found)])


def _events(cursor: sqlite3.Cursor, workflow_id: WorkflowId) -> Iterator[HistoryEvent]:
    seq = 0
    while piece := events_after(cursor.connection, workflow_id, seq, PIECE):
        yield from piece
        seq = piece[-1].seq
