"""Rows that follow from events: each `Change` as the statements that make it, those of which there
are many for many workflows at once.

What an event changes is decided in `aion_core.history`; here is only how SQL says it. No
transaction begins or ends here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, assert_never

from aion_core import history as h
from aion_core.codec import to_micros
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus
from aion_store_sqlite.attributes import merge_attributes, set_attributes, to_json
from aion_store_sqlite.columns import micros_of, payload_columns
from aion_store_sqlite.inserting import Insert

__all__ = [
    "NotOpenError",
    "apply_change",
    "arm_timers",
    "close_runs",
    "create_workflow",
    "note_seen",
    "open_activities",
    "put_heartbeat",
    "put_stuck",
    "settle_activities",
    "settle_timers",
]

_OfRun: TypeAlias = (
    h.RunOpened | h.RunClosed | h.RunReopened | h.RunPaused | h.RunResumed | h.AttributesMerged
)


class NotOpenError(Exception):
    """A change is about an activity that has no row."""


def create_workflow(cursor: sqlite3.Cursor, workflow_id: str, opened: h.RunOpened) -> int:
    """Make a workflow's row, with its first run; returns its number in this file."""
    cursor.execute(
        "INSERT INTO workflows (workflow_id, run_id, workflow_type, status, started_at, "
        "attributes, parent_id, parent_run_id, parent_child_key) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (workflow_id, *_opened(opened)),
    )
    workflow = cursor.lastrowid
    assert workflow is not None
    if opened.attributes:
        set_attributes(cursor, workflow, opened.attributes)
    return workflow


def apply_change(cursor: sqlite3.Cursor, workflow: int, change: h.Change) -> None:
    """Make a change to the rows of a workflow.

    Raises:
        NotOpenError: it is about an activity that is not open.
    """
    match change:
        case h.ActivityOpened(row):
            open_activities(cursor, {(workflow, row.activity_id): row})
        case h.ActivitySettled(activity_id, failed):
            settle_activities(cursor, [(workflow, activity_id)])
            if failed:
                _name_failed(cursor, workflow, activity_id)
        case h.AttemptPlanned(activity_id, attempt, next_attempt_at):
            cursor.execute(
                "UPDATE activities SET attempt = ?, delivery = 1, next_attempt_at = ? "
                "WHERE workflow = ? AND activity_id = ?",
                (attempt, micros_of(next_attempt_at), workflow, activity_id),
            )
            _require_row(cursor, activity_id)
        case h.AttemptDelivered():
            _deliver(cursor, workflow, change)
        case h.ActivityHeld(activity_id):
            cursor.execute(
                "UPDATE activities SET held = 1 WHERE workflow = ? AND activity_id = ?",
                (workflow, activity_id),
            )
            _require_row(cursor, activity_id)
            _name_failed(cursor, workflow, activity_id)
        case h.CancelRequested(activity_id):
            cursor.execute(
                "UPDATE activities SET cancel_requested = 1 WHERE workflow = ? AND activity_id = ?",
                (workflow, activity_id),
            )
            _require_row(cursor, activity_id)
        case h.TimerArmed(timer):
            arm_timers(cursor, {(workflow, timer.timer_id): timer})
        case h.TimerSettled(timer_id):
            settle_timers(cursor, [(workflow, timer_id)])
        case _:
            _apply_to_run(cursor, workflow, change)


def settle_activities(cursor: sqlite3.Cursor, keys: Iterable[tuple[int, str]]) -> None:
    """Delete activities, each by the number of its workflow and its id, if they are there."""
    cursor.executemany("DELETE FROM activities WHERE workflow = ? AND activity_id = ?", keys)


def settle_timers(cursor: sqlite3.Cursor, keys: Iterable[tuple[int, str]]) -> None:
    """Delete timers, each by the number of its workflow and its id, if they are there."""
    cursor.executemany("DELETE FROM timers WHERE workflow = ? AND timer_id = ?", keys)


def close_runs(cursor: sqlite3.Cursor, runs: Sequence[tuple[int, h.RunClosed]]) -> None:
    """End runs, each with the number of its workflow, and settle what they have open."""
    _settle_all(cursor, [(workflow,) for workflow, _ in runs])
    cursor.executemany(
        "UPDATE workflows SET status = ?, closed_at = ?, failure_reason = ?, "
        "failed_activity = CASE WHEN ? THEN failed_activity END, stuck = NULL "
        "WHERE workflow = ?",
        [
            (
                closed.status.value,
                to_micros(closed.closed_at),
                closed.failure_reason,
                closed.by_activity,
                workflow,
            )
            for workflow, closed in runs
        ],
    )


def open_activities(
    cursor: sqlite3.Cursor, activities: Mapping[tuple[int, str], h.ActivityRow]
) -> None:
    """Put activities in by the number of their workflow and their id.

    In place of former ones of the same ids, whose heartbeats go with their rows.
    """
    usual: list[object] = []
    others: list[object] = []
    for (workflow, activity_id), row in activities.items():
        if _is_usual(row):
            usual += (workflow, activity_id, row.activity_type, row.scheduled_seq)
            continue
        name, window = (None, None) if row.rate is None else (row.rate.name, row.rate.window)
        others += (workflow, activity_id, row.activity_type, row.scheduled_seq)
        others += (row.attempt, row.delivery, micros_of(row.next_attempt_at))
        others += (row.cancel_requested, row.held, micros_of(row.deadline), name, window)
    _OPEN_USUAL.run(cursor, usual)
    _OPEN.run(cursor, others)


def _is_usual(row: h.ActivityRow) -> bool:
    return (
        row.deadline is None
        and row.rate is None
        and row.attempt == 1
        and row.delivery == 1
        and row.next_attempt_at is None
        and not row.cancel_requested
        and not row.held
    )


_ACTIVITY = (
    "INSERT OR REPLACE INTO activities (workflow, activity_id, activity_type, scheduled_seq, "
    "attempt, delivery, next_attempt_at, cancel_requested, held, deadline, rate_name, rate_window)"
)
_OPEN = Insert(_ACTIVITY, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
# A value that is bound costs three times as much as one that stands in the statement.
_OPEN_USUAL = Insert(_ACTIVITY, "(?, ?, ?, ?, 1, 1, NULL, 0, 0, NULL, NULL, NULL)")


def arm_timers(cursor: sqlite3.Cursor, timers: Mapping[tuple[int, str], h.TimerRow]) -> None:
    """Put timers in by the number of their workflow and their id, in place of former ones."""
    values: list[object] = []
    for (workflow, timer_id), timer in timers.items():
        values += (workflow, timer_id, timer.started_seq, to_micros(timer.fire_at))
    _ARM.run(cursor, values)


_ARM = Insert(
    "INSERT OR REPLACE INTO timers (workflow, timer_id, started_seq, fire_at)", "(?, ?, ?, ?)"
)


def _name_failed(cursor: sqlite3.Cursor, workflow: int, activity_id: ActivityId) -> None:
    cursor.execute(
        "UPDATE workflows SET failed_activity = ? WHERE workflow = ?", (activity_id, workflow)
    )


def note_seen(cursor: sqlite3.Cursor, rows: Iterable[tuple[int, str]]) -> None:
    """Remember signal and update ids, each with the number of its workflow."""
    cursor.executemany("INSERT OR IGNORE INTO seen (workflow, id) VALUES (?, ?)", rows)


def put_heartbeat(
    cursor: sqlite3.Cursor,
    workflow_id: WorkflowId,
    run_id: RunId,
    activity_id: ActivityId,
    attempt: int,
    details: Payload,
) -> None:
    """Keep an attempt's details with its activity, if it is the current one of an open activity."""
    cursor.execute(
        "UPDATE activities SET heartbeat_type = ?, heartbeat = ? "
        "WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = ? AND run_id = ?) "
        "AND activity_id = ? AND attempt = ?",
        (*payload_columns(details), workflow_id, run_id, activity_id, attempt),
    )


def put_stuck(cursor: sqlite3.Cursor, workflow_id: WorkflowId, reason: str | None) -> None:
    """Say why an open workflow cannot go on, or that it can."""
    cursor.execute(
        "UPDATE workflows SET stuck = ? WHERE workflow_id = ? AND closed_at IS NULL",
        (reason, workflow_id),
    )


def _apply_to_run(cursor: sqlite3.Cursor, workflow: int, change: _OfRun) -> None:
    match change:
        case h.RunOpened():
            cursor.execute(
                "UPDATE workflows SET run_id = ?, workflow_type = ?, status = ?, started_at = ?, "
                "attributes = ?, parent_id = ?, parent_run_id = ?, parent_child_key = ?, "
                "closed_at = NULL, failure_reason = NULL, failed_activity = NULL, stuck = NULL "
                "WHERE workflow = ?",
                (*_opened(change), workflow),
            )
            set_attributes(cursor, workflow, change.attributes)
        case h.RunClosed():
            close_runs(cursor, [(workflow, change)])
        case h.RunReopened(timers, activities):
            _settle_all(cursor, [(workflow,)])
            arm_timers(cursor, {(workflow, timer.timer_id): timer for timer in timers})
            open_activities(
                cursor, {(workflow, activity.activity_id): activity for activity in activities}
            )
            cursor.execute(
                "UPDATE workflows SET status = ?, closed_at = NULL, failure_reason = NULL, "
                "failed_activity = NULL WHERE workflow = ?",
                (WorkflowStatus.RUNNING.value, workflow),
            )
        case h.RunPaused():
            _set_status(cursor, workflow, WorkflowStatus.PAUSED)
        case h.RunResumed():
            _set_status(cursor, workflow, WorkflowStatus.RUNNING)
        case h.AttributesMerged(update):
            merge_attributes(cursor, workflow, update)
        case _:
            assert_never(change)


def _deliver(cursor: sqlite3.Cursor, workflow: int, change: h.AttemptDelivered) -> None:
    cursor.execute(
        "UPDATE activities SET attempt = ?, delivery = ?, next_attempt_at = NULL, held = 0 "
        "WHERE workflow = ? AND activity_id = ?",
        (change.attempt, change.delivery, workflow, change.activity_id),
    )
    _require_row(cursor, change.activity_id)
    at = to_micros(change.at)
    cursor.execute(_NOTE_START, (at, at, workflow, change.activity_id))
    if cursor.rowcount > 0:
        cursor.execute(
            "DELETE FROM limit_starts WHERE counts_until < ? AND name IN "
            "(SELECT name FROM limit_starts WHERE rowid = last_insert_rowid())",
            (at,),
        )


_NOTE_START = """
    INSERT INTO limit_starts (name, started_at, counts_until)
    SELECT rate_name, ?, ? + CAST(round(1000000 * rate_window) AS INTEGER)
    FROM activities
    WHERE workflow = ? AND activity_id = ? AND rate_name IS NOT NULL
"""


def _settle_all(cursor: sqlite3.Cursor, workflows: Sequence[tuple[int]]) -> None:
    cursor.executemany("DELETE FROM timers WHERE workflow = ?", workflows)
    cursor.executemany("DELETE FROM activities WHERE workflow = ?", workflows)


def _set_status(cursor: sqlite3.Cursor, workflow: int, status: WorkflowStatus) -> None:
    cursor.execute("UPDATE workflows SET status = ? WHERE workflow = ?", (status.value, workflow))


def _opened(opened: h.RunOpened) -> tuple[object, ...]:
    parent = opened.parent
    return (
        opened.run_id,
        opened.workflow_type,
        WorkflowStatus.RUNNING.value,
        to_micros(opened.started_at),
        to_json(opened.attributes),
        *(
            (None, None, None)
            if parent is None
            else (parent.workflow_id, parent.run_id, parent.child_key)
        ),
    )


def _require_row(cursor: sqlite3.Cursor, activity_id: str) -> None:
    if cursor.rowcount != 1:
        raise NotOpenError(f"{activity_id} is not open")
