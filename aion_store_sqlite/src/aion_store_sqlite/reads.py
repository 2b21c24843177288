"""Reads of events: each sees one state of the file. They run in the reading connection's thread: to
decode a long history there leaves the trio loop free.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import suppress

from aion_core.codec import decode_event, from_micros
from aion_core.contracts import FeedItem
from aion_core.errors import CorruptHistoryError
from aion_core.events import HistoryEvent
from aion_core.history import RunSummary, run_chain
from aion_core.ids import WorkflowId

__all__ = [
    "arrivals_after",
    "chain_of",
    "events_after",
    "feed_after",
    "is_known",
    "seen_of",
]


def events_after(
    connection: sqlite3.Connection, workflow_id: WorkflowId, seq: int, limit: int
) -> list[HistoryEvent]:
    """The next events of a workflow, after ``seq``.

    Raises:
        CorruptHistoryError: one of them is missing or cannot be read.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM events "
        "WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = ?) AND seq > ? "
        "ORDER BY seq LIMIT ?",
        (workflow_id, seq, limit),
    ).fetchall()  # a statement left half-read by an error would hold on to its state of the file
    events: list[HistoryEvent] = []
    for row in rows:
        seq += 1
        if row[0] != seq:
            raise CorruptHistoryError(workflow_id, seq, "seq", "the event is missing")
        events.append(_event(workflow_id, *row))
    return events


def is_known(connection: sqlite3.Connection, workflow_id: WorkflowId) -> bool:
    """Is there a workflow of this id?"""
    row = connection.execute(
        "SELECT 1 FROM workflows WHERE workflow_id = ?", (workflow_id,)
    ).fetchone()
    return row is not None


def feed_after(connection: sqlite3.Connection, position: int, limit: int) -> list[FeedItem]:
    """The next events of all workflows, behind a position.

    Raises:
        CorruptHistoryError: one of them cannot be read.
    """
    rows = connection.execute(
        f"SELECT position, workflow_id, {_COLUMNS} FROM events JOIN workflows USING (workflow) "
        "WHERE position > ? ORDER BY position LIMIT ?",
        (position, limit),
    ).fetchall()
    return [FeedItem(place, _event(WorkflowId(owner), *row)) for place, owner, *row in rows]


def chain_of(connection: sqlite3.Connection, workflow_id: WorkflowId) -> Sequence[RunSummary]:
    """The runs of a workflow, from the few events that begin or end one.

    Raises:
        CorruptHistoryError: one of these cannot be read.
        HistoryShapeError: the runs are no chain.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM events "
        "WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = ?) "
        "AND kind >= 'Workflow' AND kind < 'Workflox' ORDER BY seq",
        (workflow_id,),
    ).fetchall()
    return run_chain(workflow_id, [_event(workflow_id, *row) for row in rows])


def seen_of(
    connection: sqlite3.Connection, workflow_id: WorkflowId, ids: Collection[str]
) -> frozenset[str]:
    """Which of these signal and update ids a workflow has seen."""
    seen: set[str] = set()
    for asked in ids:
        with suppress(UnicodeEncodeError):  # what is no text to a file, no sender could have sent
            if connection.execute(
                "SELECT 1 FROM seen WHERE id = ? "
                "AND workflow = (SELECT workflow FROM workflows WHERE workflow_id = ?)",
                (asked, workflow_id),
            ).fetchone():
                seen.add(asked)
    return frozenset(seen)


def arrivals_after(
    connection: sqlite3.Connection, position: int, limit: int
) -> list[tuple[int, WorkflowId, HistoryEvent | None]]:
    """The next signals and updates of all workflows, by position; None for one that is damaged."""
    rows = connection.execute(
        f"SELECT position, workflow_id, {_COLUMNS} FROM events JOIN workflows USING (workflow) "
        "WHERE position > ? AND kind IN ('SignalReceived', 'UpdateAccepted') "
        "ORDER BY position LIMIT ?",
        (position, limit),
    ).fetchall()
    found: list[tuple[int, WorkflowId, HistoryEvent | None]] = []
    for place, owner, *row in rows:
        try:
            event = _event(WorkflowId(owner), *row)
        except CorruptHistoryError:
            event = None
        found.append((place, WorkflowId(owner), event))
    return found


# As bytes: text that is no UTF-8 must be an error of this event, not of the statement.
_COLUMNS = "seq, CAST(kind AS BLOB), recorded_at, CAST(data AS BLOB)"


def _event(
    workflow_id: WorkflowId, seq: int, kind: bytes, recorded_at: int, data: bytes
) -> HistoryEvent:
    column = "recorded_at"
    try:
        instant = from_micros(recorded_at)
        column = "kind"
        name = kind.decode()
        column = "data"
        text = data.decode()
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise CorruptHistoryError(workflow_id, seq, column, str(error)) from error
    return decode_event(name, text, seq=seq, recorded_at=instant, workflow_id=workflow_id)
