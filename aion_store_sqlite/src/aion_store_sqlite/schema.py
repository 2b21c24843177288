"""The shape of the file, and how older shapes become it. What is on disk stays readable for ever.

A migration is never changed once released: a new shape is a new migration at the end. Rows are
read and written elsewhere.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from aion_core.errors import SchemaVersionError, StoreUnavailableError
from aion_store_sqlite.url import Durability

__all__ = ["create_file", "forbid_writing", "prepare"]

APPLICATION_ID = int.from_bytes(b"Aion", "big")
"""Stands in the header of the file, so that ``file`` and this store know it."""

AUTOCHECKPOINT_PAGES = 4000
"""WAL pages between checkpoints: four times SQLite's default, which costs writers a sixth."""


def _instant(micros: str) -> str:
    """SQL: microseconds since 1970 as ISO 8601 text, which sorts and which people can read."""
    rest = f"(({micros} % 1000000 + 1000000) % 1000000)"
    seconds = f"({micros} - {rest}) / 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%06dZ', {rest})"


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
)


def create_file(path: Path) -> None:
    """Make an empty file that only its owner can read, unless there is one.

    Raises:
        StoreUnavailableError: there is no directory to make it in, or no right to.
    """
    try:
        _create(path)
    except FileExistsError:
        if path.is_dir():
            raise StoreUnavailableError(
                f"{str(path)!r} is a directory; name a file in it"
            ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise StoreUnavailableError(
            f"there is no directory {str(path.parent)!r} for {path.name!r}; create it first"
        ) from None
    except OSError as error:
        raise StoreUnavailableError(
            f"{str(path)!r} cannot be created ({error.strerror}); check the rights on its directory"
        ) from error


def _create(path: Path) -> None:
    try:
        # Made without being opened: to close a file takes away all locks that SQLite may already
        # hold on it elsewhere in this process.
        os.mknod(path, 0o600)
    except FileExistsError:
        raise
    except OSError:
        # Not every system lets everybody make a file this way.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def prepare(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    """Make a file ready for use, after making sure that it is ours.

    Raises:
        StoreUnavailableError: it belongs to another program.
        SchemaVersionError: a newer version has written it.
    """
    _identify(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailableError(
            f"{str(path)!r} lies on a file system without shared memory, which writing beside "
            "readers needs; move it to a local disk"
        )
    connection.execute(f"PRAGMA synchronous = {durability.upper()}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
    if _version(connection) < len(MIGRATIONS):
        _migrate(connection)


def forbid_writing(connection: sqlite3.Connection) -> None:
    """Have SQLite refuse whatever would write through this connection."""
    connection.execute("PRAGMA query_only = ON")


def _identify(connection: sqlite3.Connection, path: Path) -> None:
    # One statement, one snapshot: another process may be creating the schema at this moment.
    application_id, version, tables = connection.execute(
        """
        SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
        FROM pragma_application_id, pragma_user_version
        """
    ).fetchone()
    if application_id != APPLICATION_ID and (application_id or version or tables):
        raise StoreUnavailableError(
            f"{str(path)!r} is the database of another program; name another file"
        )
    if version > len(MIGRATIONS):
        raise SchemaVersionError(
            f"{str(path)!r} was written by a newer version of Aion (schema {version}, this one "
            f"knows {len(MIGRATIONS)}); upgrade aion-workflow-store-sqlite"
        )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again, now that nobody else can be migrating.
        version = _version(connection)
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
