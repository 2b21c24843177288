"""The file: made, recognised as ours, and brought to the shape of today.

What is on disk stays readable for ever. Rows are read and written elsewhere.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from aion_core.errors import SchemaVersionError, StoreUnavailableError
from aion_store_sqlite.migrations import MIGRATIONS, ROWS_OF_TODAY, WRITERS_OF_TODAY
from aion_store_sqlite.rebuild import rebuild_rows
from aion_store_sqlite.url import Durability

__all__ = ["create_file", "forbid_writing", "prepare"]

APPLICATION_ID = int.from_bytes(b"Aion", "big")
"""Stands in the header of the file, so that ``file`` and this store know it."""

AUTOCHECKPOINT_PAGES = 4000
"""WAL pages between checkpoints: four times SQLite's default, which costs writers a sixth."""


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
        if 0 < version < ROWS_OF_TODAY:
            rebuild_rows(connection.cursor())
        if 0 < version < WRITERS_OF_TODAY:
            # A writer of the former version would go on to write as it knows.
            connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
