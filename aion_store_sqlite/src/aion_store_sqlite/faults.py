"""Faults: errors of SQLite's as sentences that say what to do. Nothing is tried again here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aion_core.errors import StoreError, StoreUnavailableError

__all__ = ["commit_fault", "fault", "readable", "transaction"]


def fault(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of a statement that left nothing in the file."""
    sentence = _SENTENCES.get(_code(error))
    if sentence is None:
        return StoreError(f"SQLite refused a statement on {str(path)!r}: {error}")
    return StoreUnavailableError(sentence.format(path=str(path), error=error))


def commit_fault(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of a COMMIT.

    A commit that found no room, or a lock in its way, was not written. After any other the
    transaction may still be found in the WAL: a failed fsync does not take back what the system
    already holds.
    """
    if _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
        return fault(error, path)
    return StoreError(
        f"a commit to {str(path)!r} failed ({error}) and may have been written all the same; "
        "read the history before trying again"
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Rows are expected to be as this store writes them.

    Raises:
        StoreError: one is not; somebody else has written to the file, or the disk is failing.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"{str(path)!r} holds a row that cannot be read ({error}); restore it from a back-up"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Cursor]:
    """A short transaction beside the writer's, of this or another process.

    Raises:
        StoreUnavailableError: nothing was written.
        StoreError: nothing was written, or that cannot be told.
    """
    try:
        # If an earlier rollback failed, it has to succeed before anything is written.
        connection.rollback()
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        yield cursor
    except BaseException as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        if isinstance(error, sqlite3.Error):
            raise fault(error, path) from error
        raise
    try:
        cursor.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise commit_fault(error, path) from error


def _code(error: sqlite3.Error) -> int:
    # Errors of the Python module itself carry no code. The low byte is the primary code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_BUSY = "another program keeps {path!r} locked; end its transaction or stop it"
_DENIED = "{path!r} cannot be written ({error}); check its permissions and its directory's"
_SENTENCES = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_READONLY: _DENIED,
    sqlite3.SQLITE_CANTOPEN: (
        "{path!r} cannot be opened ({error}); check that it is a file, and its permissions"
    ),
    sqlite3.SQLITE_FULL: "there is no room to write to {path!r} ({error}); free some disk space",
    sqlite3.SQLITE_IOERR: "reading or writing {path!r} failed ({error}); check the disk",
    sqlite3.SQLITE_NOMEM: "there was not enough memory to write to {path!r}; free some",
    sqlite3.SQLITE_NOTADB: "{path!r} is not a SQLite database; name another file",
    sqlite3.SQLITE_CORRUPT: "{path!r} is damaged ({error}); restore it from a back-up",
}
