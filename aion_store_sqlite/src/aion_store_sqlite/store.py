"""The store: the contract, put together from the modules that do the work."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import trio

from aion_core.contracts import (
    Append,
    DueTimer,
    EventStore,
    OpenActivity,
    RunPage,
    StoreProvider,
    StoreWriter,
)
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.storing import read_cursor, require_limit
from aion_store_sqlite import reads
from aion_store_sqlite.connection import Connection, open_connection
from aion_store_sqlite.encoded import EncodedAppend, encode
from aion_store_sqlite.faults import readable
from aion_store_sqlite.group_commit import GroupCommit, committing
from aion_store_sqlite.lock import WriterLock
from aion_store_sqlite.log import Claim, Log
from aion_store_sqlite.schema import create_file, forbid_writing, prepare
from aion_store_sqlite.url import parse_url

__all__ = ["open_store", "provider"]

EVENTS_PER_HOP = 1000
"""A long history is read in pieces, so that other reads get their turn."""


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[EventStore]:
    """Open the store in a file, which is made when there is none.

    Args:
        url: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; with ``?durability=normal``
            a power cut, but no crash of the process, may take the last appends.

    Raises:
        ConfigError: the URL names no file, or an unknown option.
        StoreUnavailableError: the file cannot be used; the message says why.
        SchemaVersionError: a newer version has written it.
    """
    name, durability = parse_url(url)
    path = await trio.to_thread.run_sync(_made, name)
    async with open_connection(path) as main:
        await main.run(lambda connection: prepare(connection, path, durability))
        # Closed first: the last connection to close tidies the WAL away, if it may write.
        async with open_connection(path, read_only=True) as reader:
            await reader.run(forbid_writing)
            yield _SqliteStore(path, main, reader)


provider = StoreProvider(open=open_store, description="durable, one SQLite file")


def _made(name: Path) -> Path:
    # SQLite follows links; two names of one file must share their lock, too.
    path = Path(os.path.realpath(name))
    create_file(path)
    return path


class _SqliteStore(EventStore):
    def __init__(self, path: Path, main: Connection, reader: Connection) -> None:
        self._path = path
        self._main = main
        self._reader = reader
        self._log = Log(path)

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        await trio.lowlevel.checkpoint()
        with readable(self._path):
            lock, claim = await self._main.run(lambda connection: self._claim(connection, takeover))

        async def commit(batch: Sequence[EncodedAppend]) -> Sequence[StoreError | None]:
            return await self._main.run(
                lambda connection: self._log.commit(connection, claim.epoch, batch)
            )

        try:
            async with committing(commit) as group:
                yield _SqliteWriter(group, after_crash=claim.after_crash)
        finally:
            try:
                # Bounded by SQLite's own wait for a lock. If it cannot be said, the next writer is
                # more careful than it has to be.
                with trio.CancelScope(shield=True), suppress(StoreError):
                    await self._main.run(
                        lambda connection: self._log.leave(connection, claim.epoch)
                    )
            finally:
                lock.release()

    def _claim(self, connection: sqlite3.Connection, takeover: bool) -> tuple[WriterLock, Claim]:
        lock = WriterLock.acquire(self._path, takeover=takeover)

        def confirm() -> None:
            # Else the one who took the lock just now could find its epoch raised once more.
            if not lock.is_current():
                raise StoreUnavailableError(
                    f"another writer is taking over {str(self._path)!r}; stop it first"
                )

        try:
            return lock, self._log.claim(connection, confirm)
        except BaseException:
            lock.release()
            raise

    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        history: list[HistoryEvent] = []
        while True:
            await trio.lowlevel.checkpoint()
            read = partial(
                reads.events_after, workflow_id=workflow_id, seq=len(history), limit=EVENTS_PER_HOP
            )
            try:
                found = await self._reader.run(read)
            except UnicodeEncodeError:
                return []  # what is no text to a file is nobody's id
            history += found
            if len(found) < EVENTS_PER_HOP:
                return history

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        await trio.lowlevel.checkpoint()
        with readable(self._path):
            try:
                return await self._reader.run(
                    lambda connection: reads.summary_of(connection, workflow_id)
                )
            except UnicodeEncodeError:
                return None

    async def list_runs(self, *, limit: int = 100, cursor: str | None = None) -> RunPage:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        with readable(self._path):
            return await self._reader.run(
                lambda connection: reads.run_page(connection, limit, after)
            )

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        with readable(self._path):
            return await self._reader.run(
                lambda connection: reads.open_activities(connection, after, limit)
            )

    async def expired_timers(self, as_of: datetime) -> Sequence[DueTimer]:
        await trio.lowlevel.checkpoint()
        with readable(self._path):
            return await self._reader.run(
                lambda connection: reads.expired_timers(connection, as_of)
            )

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        await trio.lowlevel.checkpoint()
        with readable(self._path):
            return await self._reader.run(lambda connection: reads.next_timer(connection, after))


class _SqliteWriter(StoreWriter):
    def __init__(
        self, group: GroupCommit[EncodedAppend, StoreError | None], *, after_crash: bool
    ) -> None:
        self._group = group
        self.after_crash = after_crash

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        await trio.lowlevel.checkpoint_if_cancelled()
        encoded = [_encoded(append) for append in appends]
        sound = [append for append in encoded if not isinstance(append, StoreError)]
        # Submitted even when nothing is left: a fenced writer is to learn it.
        outcomes = iter(await self._group.submit(sound))
        return [append if isinstance(append, StoreError) else next(outcomes) for append in encoded]


def _encoded(append: Append) -> EncodedAppend | StoreError:
    try:
        return encode(append)
    except StoreError as error:
        return error
