"""The database: its tables, its transactions, and what can go wrong with them. No row is known.

LMDB allows one open environment for a database in a process, so stores of one process share it.
"""

from __future__ import annotations

import enum
import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from aion_core.errors import SchemaVersionError, StoreError, StoreUnavailableError

__all__ = ["Counter", "Database", "Table", "Transaction", "close_database", "open_database"]

FORMAT = 1
"""Raised by whoever changes a table or a key."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Table(enum.Enum):
    """What is kept; the keys are of `aion_store_example.keys`, in this order."""

    META = "meta"  # a `Counter`
    EVENTS = "events"  # workflow id, seq
    FEED = "feed"  # position
    WORKFLOWS = "workflows"  # workflow id
    BY_START = "by_start"  # start, newest first, workflow id
    TIMERS = "timers"  # workflow id, started_seq
    DUE = "due"  # fire_at, started_seq, workflow id
    ACTIVITIES = "activities"  # workflow id, scheduled_seq
    STARTS = "starts"  # limit name, instant, position
    MESSAGES = "messages"  # position
    PENDING = "pending"  # message id
    ANSWERS = "answers"  # message id
    PACKAGES = "packages"  # workflow type, version
    ROUTES = "routes"  # workflow type


class Counter(enum.Enum):
    """Numbers of the whole database; 0 where nothing is kept."""

    FORMAT = b"format"
    EPOCH = b"epoch"  # of the writer that came last
    WRITING = b"writing"  # 1 until it leaves in order
    POSITION = b"position"  # of the last event
    MESSAGE = b"message"  # position of the last message


class Transaction:
    """The tables at one moment. Used in the thread that began it."""

    def __init__(
        self, env: lmdb.Environment, txn: lmdb.Transaction[bytes], tables: dict[Table, Any]
    ) -> None:
        self._env = env
        self._txn = txn
        self._tables = tables

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key."""
        return self._txn.get(key, db=self._tables[table])

    def put(self, table: Table, key: bytes, value: str | bytes) -> None:
        """Keep a value, in place of the one before."""
        data = value.encode() if isinstance(value, str) else value
        self._txn.put(key, data, db=self._tables[table])

    def delete(self, table: Table, key: bytes) -> bool:
        """Forget a key; was it there?"""
        return self._txn.delete(key, db=self._tables[table])

    def scan(
        self, table: Table, start: bytes = b"", *, prefix: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from ``start`` on, as long as they begin with ``prefix``, ascending.

        Write to the table only when the scan is over.
        """
        with self._txn.cursor(db=self._tables[table]) as cursor:
            if not cursor.set_range(max(start, prefix)):
                return  # a cursor that is nowhere would begin at the first key
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield key, value

    def count(self, table: Table) -> int:
        """How many keys there are."""
        return self._txn.stat(self._tables[table])["entries"]

    def number(self, counter: Counter) -> int:
        """Where a counter stands."""
        return int(self.get(Table.META, counter.value) or 0)

    def set_number(self, counter: Counter, value: int) -> None:
        """Put a counter somewhere."""
        self.put(Table.META, counter.value, str(value))

    def next_number(self, counter: Counter) -> int:
        """Raise a counter by one."""
        value = self.number(counter) + 1
        self.set_number(counter, value)
        return value

    @contextmanager
    def part(self) -> Iterator[Transaction]:
        """A part of the transaction that leaves nothing if it raises."""
        with self._env.begin(parent=self._txn, write=True) as txn:
            yield Transaction(self._env, txn, self._tables)


class Database:
    """An open environment. Of any thread.

    Attributes:
        users: how many have opened it, and not closed it.
    """

    def __init__(self, directory: Path, map_size: int) -> None:
        # Durable when `commit` returns: `sync` and `metasync` are LMDB's defaults, and stay so.
        self._env = lmdb.open(
            str(directory), map_size=map_size, max_dbs=len(Table), mode=0o700, create=False
        )
        self.directory = directory
        self.users = 0
        # Slots of processes that were killed while they read keep old pages from being used again.
        self._env.reader_check()
        try:
            with self._env.begin(write=True) as txn:
                self._tables = {
                    table: self._env.open_db(table.value.encode(), txn) for table in Table
                }
                self._check_format(Transaction(self._env, txn, self._tables))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Nothing can be asked of it any more."""
        self._env.close()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return (self.directory / "data.mdb").stat().st_size

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A transaction that sees what has been committed, and nothing that comes later."""
        try:
            with self._env.begin() as txn:
                yield Transaction(self._env, txn, self._tables)
        except lmdb.Error as error:
            raise StoreError(f"{self.directory} cannot be read: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction, all or nothing, durable when this is left; one in all processes."""
        try:
            txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self._unavailable(error) from error
        try:
            yield Transaction(self._env, txn, self._tables)
        except lmdb.Error as error:
            txn.abort()
            raise self._unavailable(error) from error
        except BaseException:
            txn.abort()
            raise
        try:
            txn.commit()
        except lmdb.Error as error:
            if isinstance(error, lmdb.MapFullError) or error.code in _NO_ROOM:
                # The page that makes a transaction valid is written last, over one that is there.
                raise self._unavailable(error) from error
            raise StoreError(
                f"{self.directory}: a commit failed ({error}), and may have been done or not; "
                "read before trying again"
            ) from error

    def _unavailable(self, error: lmdb.Error) -> StoreUnavailableError:
        if isinstance(error, lmdb.MapFullError):
            mib = self._env.info()["map_size"] // 1024**2
            return StoreUnavailableError(
                f"{self.directory} has reached its {mib} MiB; nothing was written; purge closed "
                f"workflows, or open it everywhere with ?map_mib={2 * mib}"
            )
        return StoreUnavailableError(
            f"{self.directory} cannot be written: {error}; nothing was written"
        )

    def _check_format(self, txn: Transaction) -> None:
        found = txn.number(Counter.FORMAT)
        if found > FORMAT:
            raise SchemaVersionError(
                f"{self.directory} was written by a newer version of the store (format {found}, "
                f"this one knows {FORMAT}); install that version of aion-workflow-store-example"
            )
        if found == 0:
            txn.set_number(Counter.FORMAT, FORMAT)


# The rule of LMDB is about the process, so it is the process that must know. A store that is
# dropped without being closed leaves its database open, and the next one shares it.
_open: dict[tuple[int, int], Database] = {}
_opening = threading.Lock()


def open_database(directory: Path, map_size: int) -> Database:
    """The database of a directory, which is made if need be. To be closed by `close_database`.

    Raises:
        StoreUnavailableError: it cannot be opened.
        SchemaVersionError: a newer version of the store wrote it.
    """
    with _opening:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            database = _open.get(_identity(directory)) or Database(directory, map_size)
            _open[_identity(directory)] = database
        except (OSError, lmdb.Error) as error:
            raise StoreUnavailableError(
                f"{directory} cannot be opened as a store: {error}; name a directory that can be "
                "read and written, whose parent is there, on a local disk"
            ) from error
        database.users += 1
        return database


def close_database(database: Database) -> None:
    """Let go of a database; it is closed when all have done so."""
    with _opening:
        database.users -= 1
        if database.users == 0:
            for identity in [key for key, value in _open.items() if value is database]:
                del _open[identity]
            database.close()


def _identity(directory: Path) -> tuple[int, int]:
    """Of the file: a path may lead to another one by now, and two paths to one."""
    try:
        stat = (directory / "data.mdb").stat()
    except FileNotFoundError:
        return (0, 0)
    return stat.st_dev, stat.st_ino
