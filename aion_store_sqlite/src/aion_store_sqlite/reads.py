"""Reads: queries, and rows turned back into what the contract speaks of. Nothing is written here.

Each is one statement, so it sees one state of the file. They run in the reading connection's
thread: to decode a long history there leaves the trio loop free.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from datetime import datetime

from aion_core.codec import decode_event, from_micros, to_micros
from aion_core.contracts import DueTimer, OpenActivity, RunPage
from aion_core.errors import CorruptHistoryError
from aion_core.events import HistoryEvent
from aion_core.history import ActivityRow, TimerRow, WorkflowSummary
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.storing import write_cursor

__all__ = [
    "events_after",
    "expired_timers",
    "next_timer",
    "open_activities",
    "run_page",
    "summary_of",
]


def events_after(
    connection: sqlite3.Connection, workflow_id: WorkflowId, seq: int, limit: int
) -> list[HistoryEvent]:
    """The next events of a workflow, after ``seq``.

    Raises:
        CorruptHistoryError: one of them is missing or cannot be read.
    """
    # As bytes: text that is no UTF-8 must be an error of this event, not of the statement.
    rows = connection.execute(
        """
        SELECT seq, CAST(kind AS BLOB), recorded_at, CAST(data AS BLOB) FROM events
        WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = ?) AND seq > ?
        ORDER BY seq LIMIT ?
        """,
        (workflow_id, seq, limit),
    ).fetchall()  # a statement left half-read by an error would hold on to its state of the file
    events: list[HistoryEvent] = []
    for found, kind, recorded_at, data in rows:
        seq += 1
        if found != seq:
            raise CorruptHistoryError(workflow_id, seq, "seq", "the event is missing")
        column = "recorded_at"
        try:
            instant = from_micros(recorded_at)
            column = "kind"
            name = kind.decode()
            column = "data"
            text = data.decode()
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise CorruptHistoryError(workflow_id, seq, column, str(error)) from error
        events.append(
            decode_event(name, text, seq=seq, recorded_at=instant, workflow_id=workflow_id)
        )
    return events


_SUMMARY = """
    SELECT workflow_id, run_id, workflow_type, status, started_at, closed_at, failure_reason,
        (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow)
    FROM workflows w
"""


_BEFORE_ALL = (sys.maxsize, "")
"""The cursor of the first page."""


def summary_of(connection: sqlite3.Connection, workflow_id: WorkflowId) -> WorkflowSummary | None:
    """The summary of a workflow, if there is one."""
    row = connection.execute(_SUMMARY + "WHERE workflow_id = ?", (workflow_id,)).fetchone()
    return None if row is None else _summary(*row)


def run_page(connection: sqlite3.Connection, limit: int, after: tuple[int, str] | None) -> RunPage:
    """A page of summaries: newest start first, then by id, from behind ``after``."""
    started_at, workflow_id = after or _BEFORE_ALL
    rows = connection.execute(
        f"""
        {_SUMMARY}
        WHERE started_at <= :started_at
            AND (started_at < :started_at OR workflow_id > :workflow_id)
        ORDER BY started_at DESC, workflow_id LIMIT :limit
        """,
        # One more than asked for, to know whether there is another page.
        {
            "started_at": started_at,
            "workflow_id": workflow_id,
            "limit": min(limit + 1, sys.maxsize),
        },
    ).fetchall()
    runs = [_summary(*row) for row in rows[:limit]]
    return RunPage(runs, write_cursor(runs[-1]) if len(rows) > limit else None)


def open_activities(
    connection: sqlite3.Connection, after: tuple[WorkflowId, int] | None, limit: int
) -> list[OpenActivity]:
    """Open activities by workflow id and ``scheduled_seq``, from behind ``after``."""
    workflow_id, seq = after if after is not None else (WorkflowId(""), -1)
    rows = connection.execute(
        """
        SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery,
            next_attempt_at, cancel_requested
        FROM workflows JOIN activities USING (workflow)
        WHERE closed_at IS NULL
            AND workflow_id >= :workflow_id
            AND (workflow_id > :workflow_id OR scheduled_seq > :seq)
        ORDER BY workflow_id, scheduled_seq LIMIT :limit
        """,
        {"workflow_id": workflow_id, "seq": seq, "limit": limit},
    ).fetchall()
    return [
        OpenActivity(
            WorkflowId(workflow_id),
            ActivityRow(
                activity_id=ActivityId(activity_id),
                activity_type=activity_type,
                scheduled_seq=scheduled_seq,
                attempt=attempt,
                delivery=delivery,
                next_attempt_at=_instant(next_attempt_at),
                cancel_requested=bool(cancel_requested),
            ),
        )
        for (
            workflow_id,
            activity_id,
            activity_type,
            scheduled_seq,
            attempt,
            delivery,
            next_attempt_at,
            cancel_requested,
        ) in rows
    ]


def expired_timers(connection: sqlite3.Connection, as_of: datetime) -> Sequence[DueTimer]:
    """Timers that are due at an instant, by ``fire_at``, then ``started_seq``, then id."""
    rows = connection.execute(
        """
        SELECT workflow_id, timer_id, started_seq, fire_at
        FROM timers JOIN workflows USING (workflow)
        WHERE fire_at <= ? ORDER BY fire_at, started_seq, workflow_id
        """,
        (to_micros(as_of),),
    ).fetchall()
    return [
        DueTimer(
            WorkflowId(workflow_id),
            TimerRow(
                timer_id=TimerId(timer_id), started_seq=started_seq, fire_at=from_micros(fire_at)
            ),
        )
        for workflow_id, timer_id, started_seq, fire_at in rows
    ]


def next_timer(connection: sqlite3.Connection, after: datetime | None) -> datetime | None:
    """The earliest ``fire_at``, later than ``after`` when given."""
    bound = -sys.maxsize if after is None else to_micros(after)
    (micros,) = connection.execute(
        "SELECT min(fire_at) FROM timers WHERE fire_at > ?", (bound,)
    ).fetchone()
    return _instant(micros)


def _summary(
    workflow_id: str,
    run_id: str,
    workflow_type: str,
    status: str,
    started_at: int,
    closed_at: int | None,
    failure_reason: str | None,
    events: int | None,
) -> WorkflowSummary:
    return WorkflowSummary(
        workflow_id=WorkflowId(workflow_id),
        run_id=RunId(run_id),
        workflow_type=workflow_type,
        status=WorkflowStatus(status),
        started_at=from_micros(started_at),
        closed_at=_instant(closed_at),
        events=events or 0,
        failure_reason=failure_reason,
    )


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
