"""The shapes of the file, in the order in which they were released: what makes each of the former.

A migration is never changed once released: a new shape is a new migration at the end. Only SQL
stands here; rows that follow from events are made anew after it, see ``rebuild``.
"""

from __future__ import annotations

__all__ = ["MIGRATIONS", "ROWS_OF_TODAY", "WRITERS_OF_TODAY"]


def _instant(micros: str) -> str:
    """SQL: microseconds since 1970 as ISO 8601 text, which sorts and which people can read."""
    rest = f"(({micros} % 1000000 + 1000000) % 1000000)"
    seconds = f"({micros} - {rest}) / 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%06dZ', {rest})"


def _counted(row: str) -> str:
    """SQL: there is one workflow more like this row."""
    return f"""
        INSERT INTO run_counts
        VALUES ({row}.workflow_type, {row}.status, {row}.stuck IS NOT NULL, 1)
        ON CONFLICT (workflow_type, status, stuck) DO UPDATE SET runs = runs + 1;
    """


def _not_counted(row: str) -> str:
    """SQL: there is one workflow less like this row."""
    return f"""
        UPDATE run_counts SET runs = runs - 1
        WHERE workflow_type = {row}.workflow_type AND status = {row}.status
            AND stuck = ({row}.stuck IS NOT NULL);
    """


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Instants are INTEGER, microseconds since 1970. `workflow` is the short name of a workflow
        # within this file: a text key in every event would more than double the cost of writing.
        """
        CREATE TABLE meta (
            name TEXT PRIMARY KEY,
            value INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        # Which writer may write: the one that raised it last.
        "INSERT INTO meta VALUES ('epoch', 0)",
        # Whether a writer is there, or was when its process died.
        "INSERT INTO meta VALUES ('written', 0)",
        # One row per workflow, about its newest run.
        """
        CREATE TABLE workflows (
            workflow INTEGER PRIMARY KEY,
            workflow_id TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL,
            workflow_type TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            closed_at INTEGER,
            failure_reason TEXT
        )
        """,
        "CREATE INDEX workflows_by_start ON workflows (started_at DESC, workflow_id)",
        "CREATE INDEX open_workflows ON workflows (workflow_id) WHERE closed_at IS NULL",
        # The log. New events go to its end, whatever their workflow; `position` is their order in
        # the whole store and is never given twice.
        """
        CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            workflow INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            recorded_at INTEGER NOT NULL,
            data TEXT NOT NULL,
            UNIQUE (workflow, seq)
        )
        """,
        # What follows from the events, of open runs only: a settled row is gone.
        """
        CREATE TABLE timers (
            workflow INTEGER NOT NULL,
            timer_id TEXT NOT NULL,
            started_seq INTEGER NOT NULL,
            fire_at INTEGER NOT NULL,
            PRIMARY KEY (workflow, timer_id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX timers_by_fire_at ON timers (fire_at, started_seq)",
        """
        CREATE TABLE activities (
            workflow INTEGER NOT NULL,
            activity_id TEXT NOT NULL,
            activity_type TEXT NOT NULL,
            scheduled_seq INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            delivery INTEGER NOT NULL,
            next_attempt_at INTEGER,
            cancel_requested INTEGER NOT NULL,
            PRIMARY KEY (workflow, activity_id)
        ) WITHOUT ROWID
        """,
        # The views are for people and their tools, and documented; the store does not use them.
        f"""
        CREATE VIEW v_runs AS
        SELECT workflow_id, run_id, workflow_type, status,
            {_instant("started_at")} AS started_at,
            {_instant("closed_at")} AS closed_at,
            (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) AS events,
            failure_reason
        FROM workflows w
        """,
        f"""
        CREATE VIEW v_events AS
        SELECT position, workflow_id, seq, {_instant("recorded_at")} AS recorded_at, kind, data
        FROM events JOIN workflows USING (workflow)
        """,
        f"""
        CREATE VIEW v_activities AS
        SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery,
            {_instant("next_attempt_at")} AS next_attempt_at,
            cancel_requested
        FROM activities JOIN workflows USING (workflow)
        """,
        f"""
        CREATE VIEW v_timers AS
        SELECT workflow_id, timer_id, started_seq, {_instant("fire_at")} AS fire_at
        FROM timers JOIN workflows USING (workflow)
        """,
    ),
    (
        # Of the newest run, like the rest of the row. `attributes` is JSON as in events; NULL for
        # none. The parent of a run without one is NULL in all three.
        "ALTER TABLE workflows ADD COLUMN parent_id TEXT",
        "ALTER TABLE workflows ADD COLUMN parent_run_id TEXT",
        "ALTER TABLE workflows ADD COLUMN parent_child_key TEXT",
        "ALTER TABLE workflows ADD COLUMN attributes TEXT",
        "ALTER TABLE workflows ADD COLUMN failed_activity TEXT",
        "ALTER TABLE workflows ADD COLUMN stuck TEXT",
        # What workflows are found by: `value` is text that is equal when the values are.
        """
        CREATE TABLE attributes (
            workflow INTEGER NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (workflow, name)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX attributes_by_value ON attributes (name, value)",
        # A heartbeat lives in its activity's row, so that it goes with it.
        "ALTER TABLE activities ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE activities ADD COLUMN deadline INTEGER",
        "ALTER TABLE activities ADD COLUMN rate_name TEXT",
        "ALTER TABLE activities ADD COLUMN rate_window REAL",
        "ALTER TABLE activities ADD COLUMN heartbeat_type TEXT",
        "ALTER TABLE activities ADD COLUMN heartbeat BLOB",
        # Signal and update ids of all runs.
        """
        CREATE TABLE seen (
            workflow INTEGER NOT NULL,
            id TEXT NOT NULL,
            PRIMARY KEY (workflow, id)
        ) WITHOUT ROWID
        """,
        # When attempts under a rate limit were begun, and until when that counts.
        """
        CREATE TABLE limit_starts (
            name TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            counts_until INTEGER NOT NULL
        )
        """,
        "CREATE INDEX limit_starts_by_name ON limit_starts (name, started_at)",
        "CREATE INDEX limit_starts_by_end ON limit_starts (name, counts_until)",
        # Messages that wait. The target may be a workflow that is still to be made.
        """
        CREATE TABLE messages (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            message_id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            target TEXT NOT NULL,
            posted_at INTEGER NOT NULL,
            body_type TEXT NOT NULL,
            body BLOB NOT NULL,
            source_id TEXT,
            source_run_id TEXT,
            source_seq INTEGER
        )
        """,
        """
        CREATE TABLE answers (
            message_id TEXT PRIMARY KEY,
            answered_at INTEGER NOT NULL,
            body_type TEXT NOT NULL,
            body BLOB NOT NULL
        )
        """,
        "CREATE INDEX answers_by_instant ON answers (answered_at)",
        """
        CREATE TABLE packages (
            workflow_type TEXT NOT NULL,
            version TEXT NOT NULL,
            deployed_at INTEGER NOT NULL,
            archive BLOB NOT NULL,
            PRIMARY KEY (workflow_type, version)
        )
        """,
        """
        CREATE TABLE package_routes (
            workflow_type TEXT PRIMARY KEY,
            version TEXT NOT NULL
        )
        """,
        # New columns of a view stand behind the old ones.
        "DROP VIEW v_runs",
        f"""
        CREATE VIEW v_runs AS
        SELECT workflow_id, run_id, workflow_type, status,
            {_instant("started_at")} AS started_at,
            {_instant("closed_at")} AS closed_at,
            (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) AS events,
            failure_reason, failed_activity, stuck, attributes,
            parent_id, parent_run_id, parent_child_key
        FROM workflows w
        """,
        "DROP VIEW v_activities",
        f"""
        CREATE VIEW v_activities AS
        SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery,
            {_instant("next_attempt_at")} AS next_attempt_at,
            cancel_requested, run_id, held,
            {_instant("deadline")} AS deadline,
            rate_name, rate_window, CAST(heartbeat AS TEXT) AS heartbeat
        FROM activities JOIN workflows USING (workflow)
        """,
        "DROP VIEW v_timers",
        f"""
        CREATE VIEW v_timers AS
        SELECT workflow_id, timer_id, started_seq, {_instant("fire_at")} AS fire_at, run_id
        FROM timers JOIN workflows USING (workflow)
        """,
        f"""
        CREATE VIEW v_messages AS
        SELECT position, message_id, kind, target, {_instant("posted_at")} AS posted_at,
            CAST(body AS TEXT) AS body, source_id, source_run_id, source_seq
        FROM messages
        """,
    ),
    (
        # How many workflows there are of each kind: to count them takes the longer the more there
        # are. By triggers, whoever writes; so there need not be rows for kinds that are no more.
        """
        CREATE TABLE run_counts (
            workflow_type TEXT NOT NULL,
            status TEXT NOT NULL,
            stuck INTEGER NOT NULL,
            runs INTEGER NOT NULL,
            PRIMARY KEY (workflow_type, status, stuck)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO run_counts
        SELECT workflow_type, status, stuck IS NOT NULL, count(*) FROM workflows GROUP BY 1, 2, 3
        """,
        f"CREATE TRIGGER run_added AFTER INSERT ON workflows BEGIN {_counted('new')} END",
        f"CREATE TRIGGER run_deleted AFTER DELETE ON workflows BEGIN {_not_counted('old')} END",
        f"""
        CREATE TRIGGER run_changed AFTER UPDATE OF workflow_type, status, stuck ON workflows
        BEGIN {_not_counted("old")} {_counted("new")} END
        """,
        # For lists of those of a status, or a type, of which there are few among many.
        "CREATE INDEX workflows_by_status ON workflows (status, started_at DESC, workflow_id)",
        "CREATE INDEX workflows_by_type ON workflows (workflow_type, started_at DESC, workflow_id)",
        # The last position that was given to what has been purged. Until now SQLite's counter told;
        # from now on it runs ahead.
        """
        INSERT INTO meta
        SELECT 'last_purged', coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'
        """,
    ),
)
"""Statements by the version that they begin from."""

ROWS_OF_TODAY = 2
"""The first version in which all rows that follow from events are as they are today."""

WRITERS_OF_TODAY = 3
"""The first version whose writers keep all that today's writers go by."""
