"""Upkeep: to delete what is over, to say how much there is, to look for damage."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Collection
from pathlib import Path

from aion_core.contracts import StoreStats
from aion_core.errors import HistoryShapeError, StoreError
from aion_core.history import ActivityRow, RunProjection, TimerRow
from aion_core.ids import WorkflowId
from aion_store_sqlite.attributes import from_json, search_key
from aion_store_sqlite.due import left_out
from aion_store_sqlite.encoded import seen_id
from aion_store_sqlite.mail import answer_to
from aion_store_sqlite.places import note_purged
from aion_store_sqlite.reads import arrivals_after, events_after

__all__ = [
    "damage_of_answers",
    "damage_of_file",
    "damage_of_resting_runs",
    "damage_of_searches",
    "purge",
    "stats",
]

PIECE = 1000
"""Events in memory at a time."""

_TABLES_BY_WORKFLOW = ("events", "timers", "activities", "attributes", "seen", "workflows")


def purge(cursor: sqlite3.Cursor, workflow_ids: Collection[WorkflowId]) -> int:
    """Delete closed workflows; returns how many.

    What has begun under rate limits stays: it goes on to count.

    Raises:
        StoreError: one of them is open; nothing was deleted.
    """
    found: list[tuple[int]] = []
    for workflow_id in sorted(workflow_ids):
        try:
            row = cursor.execute(
                "SELECT workflow, closed_at FROM workflows WHERE workflow_id = ?", (workflow_id,)
            ).fetchone()
        except UnicodeEncodeError:
            continue  # what is no text to a file is nobody's id
        if row is None:
            continue
        workflow, closed_at = row
        if closed_at is None:
            raise StoreError(
                f"workflow {workflow_id!r} is open, nothing was deleted; purge closed workflows "
                "only"
            )
        found.append((workflow,))
    note_purged(cursor)
    for table in _TABLES_BY_WORKFLOW:
        cursor.executemany(f"DELETE FROM {table} WHERE workflow = ?", found)
    return len(found)


def stats(connection: sqlite3.Connection, path: Path) -> StoreStats:
    """How much there is, in one state of the file; its size is that of a moment."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM workflows),
            (SELECT count(*) FROM workflows WHERE closed_at IS NULL),
            (SELECT count(*) FROM events),
            (SELECT count(*) FROM timers),
            (SELECT count(*) FROM activities),
            (SELECT count(*) FROM messages),
            (SELECT count(*) FROM answers)
        """
    ).fetchone()
    workflows, open_workflows, events, timers, activities, messages, answers = row
    return StoreStats(
        workflows=workflows,
        open_workflows=open_workflows,
        events=events,
        timers=timers,
        activities=activities,
        messages=messages,
        answers=answers,
        bytes=_size(path) + _size(path.with_name(path.name + "-wal")),
    )


def damage_of_file(connection: sqlite3.Connection, path: Path) -> list[str]:
    """What SQLite itself finds wrong."""
    rows = connection.execute("PRAGMA integrity_check").fetchall()
    return [
        f"{str(path)!r} is damaged: {found}; restore it from a back-up"
        for (found,) in rows
        if found != "ok"
    ]


def damage_of_searches(connection: sqlite3.Connection) -> list[str]:
    """What is searched and counted by and differs from what it was made of; rows of no workflow."""
    found: list[str] = []
    owners = connection.execute("SELECT workflow, workflow_id, attributes FROM workflows")
    for workflow, workflow_id, text in owners.fetchall():
        kept = dict(
            connection.execute(
                "SELECT name, value FROM attributes WHERE workflow = ?", (workflow,)
            ).fetchall()
        )
        try:
            wanted = {name: search_key(value) for name, value in from_json(text).items()}
        except (TypeError, ValueError):
            continue  # named with the workflow's summary
        if kept != wanted:
            found.append(
                f"workflow {workflow_id!r} is found by the attributes {kept!r} instead of "
                f"{wanted!r}"
            )
    return found + _miscounted(connection) + _unseen(connection) + _of_nobody(connection)


def damage_of_resting_runs(connection: sqlite3.Connection) -> list[str]:
    """Timers and activities of runs that are paused, stuck or closed, which no list names.

    Raises:
        TypeError, ValueError: a row is not as this store writes it.
    """
    found: list[str] = []
    for workflow_id, kept in sorted(left_out(connection).items()):
        try:
            projection = RunProjection(
                workflow_id, events_after(connection, workflow_id, 0, sys.maxsize)
            )
        except (StoreError, HistoryShapeError):
            continue  # named with its history
        summary = projection.summary
        wanted: set[TimerRow | ActivityRow] = set()
        if summary is not None and not summary.status.is_closed:
            wanted = {*projection.timers.values(), *projection.activities.values()}
        found += [f"workflow {workflow_id!r} lacks {row}" for row in wanted - kept]
        found += [
            f"{row} of workflow {workflow_id!r} follows from no event" for row in kept - wanted
        ]
    return found


def damage_of_answers(connection: sqlite3.Connection) -> list[str]:
    """Answers that cannot be read."""
    found: list[str] = []
    last = ""
    while ids := connection.execute(
        "SELECT message_id FROM answers WHERE message_id > ? ORDER BY message_id LIMIT ?",
        (last, PIECE),
    ).fetchall():
        for (message_id,) in ids:
            try:
                answer_to(connection, message_id)
            except (TypeError, ValueError, OverflowError) as error:
                found.append(f"the answer to message {message_id!r} cannot be read ({error})")
        last = ids[-1][0]
    return found


def _of_nobody(connection: sqlite3.Connection) -> list[str]:
    counts = [
        (table, count)
        for table in _TABLES_BY_WORKFLOW
        for (count,) in connection.execute(
            f"SELECT count(*) FROM {table} WHERE workflow NOT IN (SELECT workflow FROM workflows)"
        ).fetchall()
    ]
    return [f"{count} rows of {table} belong to no workflow" for table, count in counts if count]


def _miscounted(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        """
        SELECT workflow_type, status, stuck, sum(counted), sum(there) FROM (
            SELECT workflow_type, status, stuck, runs AS counted, 0 AS there FROM run_counts
            UNION ALL SELECT workflow_type, status, stuck IS NOT NULL, 0, 1 FROM workflows
        ) GROUP BY 1, 2, 3 HAVING sum(counted) <> sum(there)
        """
    ).fetchall()
    return [
        f"{counted} {'stuck ' if stuck else ''}workflows of type {workflow_type!r} are counted as "
        f"{status}, and there are {there}"
        for workflow_type, status, stuck, counted, there in rows
    ]


def _unseen(connection: sqlite3.Connection) -> list[str]:
    kept = set(
        connection.execute("SELECT workflow_id, id FROM seen JOIN workflows USING (workflow)")
    )
    wanted: set[tuple[str, str]] = set()
    damaged: set[str] = set()
    position = 0
    while page := arrivals_after(connection, position, PIECE):
        for _, workflow_id, event in page:
            if event is None:
                damaged.add(workflow_id)  # named with its history
            elif (sent := seen_id(event)) is not None:
                wanted.add((workflow_id, sent))
        position = page[-1][0]
    return [
        f"workflow {workflow_id!r} does not know that it has seen {sent!r}"
        for workflow_id, sent in sorted(wanted - kept)
    ] + [
        f"workflow {workflow_id!r} believes that it has seen {sent!r}, of which no event tells"
        for workflow_id, sent in sorted(kept - wanted)
        if workflow_id not in damaged
    ]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
