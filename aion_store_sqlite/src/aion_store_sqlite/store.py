"""The store: the contract, put together from the modules that do the work."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from aion_core.contracts import (
    EVERYTHING,
    Answer,
    BegunRun,
    DueRun,
    DueTimer,
    EventStore,
    FeedItem,
    Message,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
    RunPage,
    StoreCapabilities,
    StoredMessage,
    StoreProvider,
    StoreStats,
    StoreWriter,
    WaitingStart,
)
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.history import RunSummary, WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.storing import read_cursor, require_limit
from aion_store_sqlite import due, listing, mail, packages, reads, upkeep
from aion_store_sqlite.connection import Connection, open_connection
from aion_store_sqlite.faults import readable
from aion_store_sqlite.group_commit import committing
from aion_store_sqlite.lock import WriterLock
from aion_store_sqlite.log import Claim, Log, Write
from aion_store_sqlite.schema import create_file, forbid_writing, prepare
from aion_store_sqlite.shared_reads import SharedReads
from aion_store_sqlite.url import parse_url
from aion_store_sqlite.watching import watching
from aion_store_sqlite.writer import SqliteWriter

__all__ = ["open_store", "provider"]

Row = TypeVar("Row")
Value = TypeVar("Value")

EVENTS_PER_HOP = 1000
"""What is long is read in pieces, so that other reads get their turn."""


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


def _exists(url: str) -> bool:
    return parse_url(url).path.exists()


provider = StoreProvider(open=open_store, description="durable, one SQLite file", exists=_exists)


def _made(name: Path) -> Path:
    # SQLite follows links; two names of one file must share their lock, too.
    path = Path(os.path.realpath(name))
    create_file(path)
    return path


class _SqliteStore(EventStore):
    capabilities = StoreCapabilities(persistent=True, multi_process=True)

    def __init__(self, path: Path, main: Connection, reader: Connection) -> None:
        self._path = path
        self._main = main
        self._reader = SharedReads(reader, path)
        self._log = Log(path)

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        await trio.lowlevel.checkpoint()
        with readable(self._path):
            lock, claim = await self._main.run(lambda connection: self._claim(connection, takeover))

        async def commit(
            batch: Sequence[Write], settle: Callable[[Sequence[object]], None]
        ) -> None:
            await self._main.run(
                lambda connection: self._log.commit(connection, claim.epoch, batch), tell=settle
            )

        try:
            async with committing(commit) as group:
                yield SqliteWriter(group, after_crash=claim.after_crash)
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

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        if limit is not None:
            require_limit(limit)
        before = max(seq - 1, 0)

        async def piece(found: Sequence[HistoryEvent], size: int) -> Sequence[HistoryEvent]:
            return await self._read(
                partial(
                    reads.events_after,
                    workflow_id=workflow_id,
                    seq=min(before + len(found), sys.maxsize),
                    limit=size,
                ),
                unknown=[],
            )

        history = await _in_pieces(piece, limit)
        if len(history) >= EVENTS_PER_HOP and not await self._read(
            lambda connection: reads.is_known(connection, workflow_id), unknown=False
        ):
            return []  # purged between two pieces: half a history would pass for a whole one
        return history

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        return await self._read(
            lambda connection: listing.summary_of(connection, workflow_id), unknown=None
        )

    async def read_run_chain(self, workflow_id: WorkflowId) -> Sequence[RunSummary]:
        return await self._read(
            lambda connection: reads.chain_of(connection, workflow_id), unknown=[]
        )

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        require_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        where = listing.condition(filter)
        return await self._read(
            lambda connection: listing.run_page(connection, where, limit, after),
            unknown=RunPage([], None),
        )

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        query = listing.count_query(filter)
        return await self._read(lambda connection: listing.count(connection, query), unknown=0)

    async def list_active(self) -> Sequence[WorkflowId]:
        return await self._ids(RunFilter(status=WorkflowStatus.RUNNING))

    async def list_paused(self) -> Sequence[WorkflowId]:
        return await self._ids(RunFilter(status=WorkflowStatus.PAUSED))

    async def list_workflow_ids(self) -> Sequence[WorkflowId]:
        return await self._ids(EVERYTHING)

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        require_limit(limit)

        async def piece(found: Sequence[FeedItem], size: int) -> Sequence[FeedItem]:
            position = found[-1].position if found else after
            return await self._read(
                lambda connection: reads.feed_after(connection, position, size), unknown=[]
            )

        return await _in_pieces(piece, limit)

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        return await self._read(lambda connection: due.due_work(connection, now), unknown=[])

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        require_limit(limit)
        size = min(limit, sys.maxsize)
        return await self._read(
            lambda connection: due.open_activities(connection, after, size), unknown=[]
        )

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        return await self._read(
            lambda connection: due.expired_timers(connection, as_of, starts), unknown=[]
        )

    async def waiting_starts(
        self,
        as_of: datetime,
        *,
        since: datetime | None = None,
        without: Collection[str] = (),
        limit: int = 1000,
    ) -> Sequence[WaitingStart]:
        require_limit(limit)
        others = tuple(without)
        return await self._read(
            lambda connection: due.waiting_starts(connection, as_of, since, others, limit),
            unknown=[],
        )

    async def begun_runs(self) -> Sequence[BegunRun]:
        return await self._read(due.begun_runs, unknown=[])

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        return await self._read(lambda connection: due.next_timer(connection, after), unknown=None)

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        return await self._read(
            lambda connection: reads.seen_of(connection, workflow_id, ids), unknown=frozenset()
        )

    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        return await self._read(
            lambda connection: due.limit_starts(connection, name, since), unknown=[]
        )

    async def post(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        row = mail.message_row(message)
        # By a transaction of its own: whoever writes this file, here or elsewhere, is not needed.
        await self._main.run(lambda connection: mail.post_alone(connection, self._path, row))

    @contextmanager
    def watch(self, notify: Callable[[], None]) -> Iterator[bool]:
        with watching(self._path, notify):
            yield True

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        require_limit(limit)
        size = min(limit, sys.maxsize)
        return await self._read(
            lambda connection: mail.messages_after(connection, after, size), unknown=[]
        )

    async def fetch_answer(self, message_id: str) -> Answer | None:
        return await self._read(
            lambda connection: mail.answer_to(connection, message_id), unknown=None
        )

    async def list_packages(self) -> Sequence[Package]:
        return await self._read(packages.list_packages, unknown=[])

    async def list_package_routes(self) -> Sequence[PackageRoute]:
        return await self._read(packages.list_package_routes, unknown=[])

    async def stats(self) -> StoreStats:
        await trio.lowlevel.checkpoint()
        return await self._reader.run(lambda connection: upkeep.stats(connection, self._path))

    async def check(self) -> Sequence[str]:
        found: list[str] = []
        for look in (
            self._check_file,
            super().check,
            self._checked_by(upkeep.damage_of_searches),
            self._checked_by(upkeep.damage_of_resting_runs),
            self._checked_by(upkeep.damage_of_answers),
        ):
            try:
                found += await look()
            except StoreError as error:
                # So broken that it cannot be looked through.
                found.append(str(error))
        return found

    async def _check_file(self) -> list[str]:
        return await self._read(
            lambda connection: upkeep.damage_of_file(connection, self._path), unknown=[]
        )

    def _checked_by(
        self, look: Callable[[sqlite3.Connection], list[str]]
    ) -> Callable[[], Awaitable[Sequence[str]]]:
        async def checked() -> Sequence[str]:
            return await self._read(look, unknown=[])

        return checked

    async def _ids(self, filter: RunFilter) -> list[WorkflowId]:
        where = listing.condition(filter)
        return await self._read(
            lambda connection: listing.workflow_ids(connection, where), unknown=[]
        )

    async def _read(
        self, function: Callable[[sqlite3.Connection], Value], *, unknown: Value
    ) -> Value:
        """Read in the reading connection's thread.

        Args:
            unknown: the answer where the question is no text to a file, so nobody's name.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        with readable(self._path):
            try:
                return await self._reader.run(function)
            except UnicodeEncodeError:
                return unknown


async def _in_pieces(
    read: Callable[[Sequence[Row], int], Awaitable[Sequence[Row]]], limit: int | None
) -> list[Row]:
    """Read up to so many rows; ``read`` gets those that it goes on behind, and how many more."""
    found: list[Row] = []
    while True:
        size = EVENTS_PER_HOP if limit is None else min(EVENTS_PER_HOP, limit - len(found))
        piece = await read(found, size)
        found += piece
        if len(piece) < EVENTS_PER_HOP or len(found) == limit:
            return found
