"""What an engine must do: open activities, timers, starts under limits, and who has work due.

Rows of runs that are paused or stuck are kept, and left out here.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from aion_core.codec import from_micros, to_micros
from aion_core.contracts import (
    BegunRun,
    DueReason,
    DueRun,
    DueTimer,
    OpenActivity,
    WaitingStart,
)
from aion_core.history import ActivityRow, RateRow, TimerRow
from aion_core.ids import START_TIMER, ActivityId, RunId, TimerId, WorkflowId
from aion_store_sqlite.columns import instant_of, payload_of

__all__ = [
    "begun_runs",
    "due_work",
    "expired_timers",
    "left_out",
    "limit_starts",
    "next_timer",
    "open_activities",
    "waiting_starts",
]


def open_activities(
    connection: sqlite3.Connection, after: tuple[WorkflowId, int] | None, limit: int
) -> list[OpenActivity]:
    """Open activities by workflow id and ``scheduled_seq``, from behind ``after``."""
    workflow_id, seq = after if after is not None else (WorkflowId(""), -1)
    rows = connection.execute(
        f"""
        SELECT workflow_id, run_id, heartbeat_type, heartbeat,
            activity_id, activity_type, scheduled_seq, attempt, delivery,
            next_attempt_at, cancel_requested, held, deadline, rate_name, rate_window
        FROM workflows JOIN activities USING (workflow)
        WHERE {_GOES_ON}
            AND workflow_id >= :workflow_id
            AND (workflow_id > :workflow_id OR scheduled_seq > :seq)
        ORDER BY workflow_id, scheduled_seq LIMIT :limit
        """,
        {"workflow_id": workflow_id, "seq": seq, "limit": limit},
    ).fetchall()
    return [
        OpenActivity(
            WorkflowId(workflow_id),
            RunId(run_id),
            _activity(*activity),
            None if heartbeat_type is None else payload_of(heartbeat_type, heartbeat),
        )
        for workflow_id, run_id, heartbeat_type, heartbeat, *activity in rows
    ]


def expired_timers(
    connection: sqlite3.Connection, as_of: datetime, starts: bool | None
) -> list[DueTimer]:
    """Timers that are due at an instant, by ``fire_at``, then ``started_seq``, then id."""
    rows = connection.execute(
        f"""
        SELECT workflow_id, run_id, timer_id, started_seq, fire_at
        FROM timers JOIN workflows USING (workflow)
        WHERE fire_at <= ? AND {_WHICH[starts]} AND {_GOES_ON}
        ORDER BY fire_at, started_seq, workflow_id
        """,
        (to_micros(as_of),),
    ).fetchall()
    return [
        DueTimer(
            WorkflowId(workflow_id),
            RunId(run_id),
            TimerRow(
                timer_id=TimerId(timer_id), started_seq=started_seq, fire_at=from_micros(fire_at)
            ),
        )
        for workflow_id, run_id, timer_id, started_seq, fire_at in rows
    ]


def waiting_starts(
    connection: sqlite3.Connection,
    as_of: datetime,
    since: datetime | None,
    without: Sequence[str],
    limit: int,
) -> list[WaitingStart]:
    """The first starts that wait and are due, but for some types, in the order of timers."""
    bound = -sys.maxsize if since is None else to_micros(since)
    others = ", ".join("?" * len(without))
    rows = connection.execute(
        f"""
        SELECT workflow_id, run_id, workflow_type, timer_id, started_seq, fire_at
        FROM timers JOIN workflows USING (workflow)
        WHERE fire_at > ? AND fire_at <= ? AND {_WHICH[True]} AND {_GOES_ON}
            AND workflow_type NOT IN ({others})
        ORDER BY fire_at, started_seq, workflow_id LIMIT ?
        """,
        (bound, to_micros(as_of), *without, min(limit, sys.maxsize)),
    ).fetchall()
    return [
        WaitingStart(
            WorkflowId(workflow_id),
            RunId(run_id),
            workflow_type,
            TimerRow(
                timer_id=TimerId(timer_id), started_seq=started_seq, fire_at=from_micros(fire_at)
            ),
        )
        for workflow_id, run_id, workflow_type, timer_id, started_seq, fire_at in rows
    ]


def begun_runs(connection: sqlite3.Connection) -> list[BegunRun]:
    """Open runs that are no starts that wait, by start, then by id."""
    rows = connection.execute(
        f"""
        SELECT workflow_id, workflow_type FROM workflows
        WHERE closed_at IS NULL AND workflow NOT IN (
            SELECT workflow FROM timers WHERE {_WHICH[True]}
        )
        ORDER BY started_at, workflow_id
        """
    ).fetchall()
    return [BegunRun(WorkflowId(workflow_id), name) for workflow_id, name in rows]


def next_timer(connection: sqlite3.Connection, after: datetime | None) -> datetime | None:
    """The earliest ``fire_at``, later than ``after`` when given."""
    bound = -sys.maxsize if after is None else to_micros(after)
    row = connection.execute(
        f"""
        SELECT fire_at FROM timers JOIN workflows USING (workflow)
        WHERE fire_at > ? AND {_GOES_ON} ORDER BY fire_at LIMIT 1
        """,
        (bound,),
    ).fetchone()
    return None if row is None else from_micros(row[0])


def due_work(connection: sqlite3.Connection, now: datetime) -> list[DueRun]:
    """Who has what due, by start, then by id; a workflow that is still to be made comes last."""
    rows = connection.execute(
        f"""
        SELECT due.workflow_id, due.reason FROM (
            SELECT target AS workflow_id, 0 AS reason FROM messages
            UNION SELECT workflow_id, 1 FROM timers JOIN workflows USING (workflow)
                WHERE fire_at <= :now AND {_WHICH[False]} AND {_GOES_ON}
            UNION SELECT workflow_id, 2 FROM workflows JOIN activities USING (workflow)
                WHERE {_GOES_ON} AND (
                    cancel_requested
                    OR NOT held AND (next_attempt_at IS NULL OR next_attempt_at <= :now)
                )
            UNION SELECT workflow_id, 3 FROM workflows
                WHERE closed_at IS NULL AND stuck IS NOT NULL
        ) due LEFT JOIN workflows USING (workflow_id)
        ORDER BY started_at IS NULL, started_at, due.workflow_id, due.reason
        """,
        {"now": to_micros(now)},
    ).fetchall()
    reasons = tuple(DueReason)
    return [
        DueRun(WorkflowId(workflow_id), tuple(reasons[reason] for _, reason in due))
        for workflow_id, due in groupby(rows, key=lambda row: row[0])
    ]


def limit_starts(connection: sqlite3.Connection, name: str, since: datetime) -> list[datetime]:
    """When attempts under a limit were begun, ascending."""
    rows = connection.execute(
        "SELECT started_at FROM limit_starts WHERE name = ? AND started_at >= ? "
        "ORDER BY started_at",
        (name, to_micros(since)),
    ).fetchall()
    return [from_micros(started_at) for (started_at,) in rows]


def left_out(
    connection: sqlite3.Connection,
) -> dict[WorkflowId, set[TimerRow | ActivityRow]]:
    """Open runs that are paused or stuck, and closed ones that have rows: which timers and
    activities are kept of each.
    """
    resting = f"NOT ({_GOES_ON})"
    found: dict[WorkflowId, set[TimerRow | ActivityRow]] = {
        WorkflowId(workflow_id): set()
        for (workflow_id,) in connection.execute(
            f"SELECT workflow_id FROM workflows WHERE closed_at IS NULL AND {resting}"
        ).fetchall()
    }
    for workflow_id, timer_id, seq, fire_at in connection.execute(
        "SELECT workflow_id, timer_id, started_seq, fire_at "
        f"FROM timers JOIN workflows USING (workflow) WHERE {resting}"
    ).fetchall():
        timer = TimerRow(timer_id=TimerId(timer_id), started_seq=seq, fire_at=from_micros(fire_at))
        found.setdefault(WorkflowId(workflow_id), set()).add(timer)
    for workflow_id, *activity in connection.execute(
        "SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery, "
        "next_attempt_at, cancel_requested, held, deadline, rate_name, rate_window "
        f"FROM activities JOIN workflows USING (workflow) WHERE {resting}"
    ).fetchall():
        found.setdefault(WorkflowId(workflow_id), set()).add(_activity(*activity))
    return found


# A start that waits is looked for by its timer, of which there may be very many that are due.
_WHICH: dict[bool | None, str] = {
    None: "TRUE",
    True: f"timer_id = '{START_TIMER}'",
    False: f"timer_id <> '{START_TIMER}'",
}

_GOES_ON = "closed_at IS NULL AND status = 'Running' AND stuck IS NULL"


def _activity(
    activity_id: str,
    activity_type: str,
    scheduled_seq: int,
    attempt: int,
    delivery: int,
    next_attempt_at: int | None,
    cancel_requested: int,
    held: int,
    deadline: int | None,
    rate_name: str | None,
    rate_window: float | None,
) -> ActivityRow:
    rate = None
    if rate_name is not None and rate_window is not None:
        rate = RateRow(rate_name, rate_window)
    return ActivityRow(
        activity_id=ActivityId(activity_id),
        activity_type=activity_type,
        scheduled_seq=scheduled_seq,
        attempt=attempt,
        delivery=delivery,
        next_attempt_at=instant_of(next_attempt_at),
        cancel_requested=bool(cancel_requested),
        held=bool(held),
        deadline=instant_of(deadline),
        rate=rate,
    )
