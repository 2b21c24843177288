"""Rows that follow from events: each `Change` as the statement that makes it.

What an event changes is decided in `aion_core.history`; here is only how SQL says it. No
transaction begins or ends here.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import assert_never

from aion_core import history as h
from aion_core.codec import to_micros
from aion_core.status import WorkflowStatus

__all__ = ["NotOpenError", "apply_change", "create_workflow"]


class NotOpenError(Exception):
    """A change is about an activity that has no row."""


def create_workflow(cursor: sqlite3.Cursor, workflow_id: str, opened: h.RunOpened) -> int:
    """Make a workflow's row, with its first run; returns its number in this file."""
    cursor.execute(
        "INSERT INTO workflows (workflow_id, run_id, workflow_type, status, started_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (workflow_id, *_opened(opened)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def apply_change(cursor: sqlite3.Cursor, workflow: int, change: h.Change) -> None:
    """Make a change to the rows of a workflow.

    Raises:
        NotOpenError: it is about an activity that is not open.
    """
    match change:
        case h.ActivityOpened(row):
            cursor.execute(
                "INSERT OR REPLACE INTO activities VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    workflow,
                    row.activity_id,
                    row.activity_type,
                    row.scheduled_seq,
                    row.attempt,
                    row.delivery,
                    _micros(row.next_attempt_at),
                    row.cancel_requested,
                ),
            )
        case h.ActivitySettled(activity_id):
            cursor.execute(
                "DELETE FROM activities WHERE workflow = ? AND activity_id = ?",
                (workflow, activity_id),
            )
        case h.AttemptPlanned(activity_id, attempt, next_attempt_at):
            cursor.execute(
                "UPDATE activities SET attempt = ?, delivery = 1, next_attempt_at = ? "
                "WHERE workflow = ? AND activity_id = ?",
                (attempt, _micros(next_attempt_at), workflow, activity_id),
            )
            _require_row(cursor, activity_id)
        case h.AttemptDelivered(activity_id, attempt, delivery):
            cursor.execute(
                "UPDATE activities SET attempt = ?, delivery = ? "
                "WHERE workflow = ? AND activity_id = ?",
                (attempt, delivery, workflow, activity_id),
            )
            _require_row(cursor, activity_id)
        case h.CancelRequested(activity_id):
            cursor.execute(
                "UPDATE activities SET cancel_requested = 1 WHERE workflow = ? AND activity_id = ?",
                (workflow, activity_id),
            )
            _require_row(cursor, activity_id)
        case h.TimerArmed(timer):
            cursor.execute(
                "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?)",
                (workflow, timer.timer_id, timer.started_seq, to_micros(timer.fire_at)),
            )
        case h.TimerSettled(timer_id):
            cursor.execute(
                "DELETE FROM timers WHERE workflow = ? AND timer_id = ?", (workflow, timer_id)
            )
        case h.RunOpened():
            cursor.execute(
                "UPDATE workflows SET run_id = ?, workflow_type = ?, status = ?, started_at = ?, "
                "closed_at = NULL, failure_reason = NULL WHERE workflow = ?",
                (*_opened(change), workflow),
            )
        case h.RunClosed(status, closed_at, failure_reason):
            cursor.execute("DELETE FROM timers WHERE workflow = ?", (workflow,))
            cursor.execute("DELETE FROM activities WHERE workflow = ?", (workflow,))
            cursor.execute(
                "UPDATE workflows SET status = ?, closed_at = ?, failure_reason = ? "
                "WHERE workflow = ?",
                (status.value, to_micros(closed_at), failure_reason, workflow),
            )
        case _:
            assert_never(change)


def _opened(opened: h.RunOpened) -> tuple[str, str, str, int]:
    started_at = to_micros(opened.started_at)
    return opened.run_id, opened.workflow_type, WorkflowStatus.RUNNING.value, started_at


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


def _require_row(cursor: sqlite3.Cursor, activity_id: str) -> None:
    if cursor.rowcount != 1:
        raise NotOpenError(f"{activity_id} is not open")
