"""The store: the contract's questions, each asked in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import trio

from aion_core.contracts import (
    EVERYTHING,
    Answer,
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
    StoreStats,
    StoreWriter,
)
from aion_core.errors import StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_store_example import reads
from aion_store_example.appending import post
from aion_store_example.database import Database, Transaction, close_database, open_database
from aion_store_example.rows import answer_to, summary_of
from aion_store_example.writer import Writing

__all__ = ["LmdbStore"]

READERS = 8
T = TypeVar("T")


class LmdbStore(EventStore):
    """A directory of LMDB. Open within ``async with``; then others may share it.

    Args:
        map_size: bytes that it can have at most.
    """

    capabilities = StoreCapabilities(persistent=True, multi_process=True)

    def __init__(self, directory: Path, map_size: int) -> None:
        self._directory = directory
        self._map_size = map_size
        self._database: Database | None = None
        # LMDB lets one transaction write; the others would keep threads waiting.
        self._one = trio.CapacityLimiter(1)
        self._readers = trio.CapacityLimiter(READERS)

    async def __aenter__(self) -> Self:
        self._database = await trio.to_thread.run_sync(
            open_database, self._directory, self._map_size
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        database, self._database = self._database, None
        if database is not None:
            close_database(database)

    @property
    def _open(self) -> Database:
        if self._database is None:
            raise StoreUnavailableError(
                f"the store {self._directory} is closed; use it within its `async with`"
            )
        return self._database

    async def _read(self, question: Callable[[Transaction], T]) -> T:
        def ask(database: Database) -> T:
            with database.reading() as txn:
                return question(txn)

        return await trio.to_thread.run_sync(ask, self._open, limiter=self._readers)

    def writer(self, *, takeover: bool = False) -> AbstractAsyncContextManager[StoreWriter]:
        return Writing(self._open, takeover, self._one)

    async def post(self, message: Message) -> None:
        def leave(database: Database) -> None:
            with database.writing() as txn:
                post(txn, message)

        await trio.to_thread.run_sync(leave, self._open, limiter=self._one)

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        return await self._read(lambda txn: reads.history(txn, workflow_id, seq, limit))

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        return await self._read(lambda txn: summary_of(txn, workflow_id))

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        return await self._read(lambda txn: reads.runs(txn, filter, limit, cursor))

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        return await self._read(lambda txn: reads.feed(txn, after, limit))

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        return await self._read(lambda txn: reads.open_activities(txn, after, limit))

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        return await self._read(lambda txn: reads.expired_timers(txn, as_of, starts=starts))

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        return await self._read(lambda txn: reads.next_timer(txn, after))

    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        return await self._read(lambda txn: reads.limit_starts(txn, name, since))

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        return await self._read(lambda txn: reads.messages(txn, after, limit))

    async def fetch_answer(self, message_id: str) -> Answer | None:
        return await self._read(lambda txn: answer_to(txn, message_id))

    async def list_packages(self) -> Sequence[Package]:
        return await self._read(reads.packages)

    async def list_package_routes(self) -> Sequence[PackageRoute]:
        return await self._read(reads.routes)

    async def stats(self) -> StoreStats:
        size = self._open.size
        return await self._read(lambda txn: reads.stats(txn, size))
