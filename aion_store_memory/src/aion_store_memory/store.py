"""The store: the contract over tables of dicts. No I/O: what is waited for is only one's turn."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import trio

from aion_core.codec import to_micros
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
    StoreProvider,
    StoreStats,
    StoreWriter,
)
from aion_core.errors import ConfigError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import START_TIMER, WorkflowId
from aion_core.storing import read_cursor, require_limit, write_cursor
from aion_store_memory.contents import Contents
from aion_store_memory.mailbox import require_storable
from aion_store_memory.writer import MemoryWriter

__all__ = ["MemoryStore", "open_store", "provider"]

EVENTS_PER_SLICE = 200
"""A long history is decoded in pieces, so that other tasks get their turn."""


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[EventStore]:
    """Open a new, empty store.

    Raises:
        ConfigError: the URL says more than ``memory:``.
    """
    if url != "memory:":
        raise ConfigError(f"{url!r} names a place, but memory has none; write 'memory:'")
    await trio.lowlevel.checkpoint()
    yield MemoryStore()


provider = StoreProvider(open=open_store, description="in memory, forgotten at the end")


class MemoryStore(EventStore):
    """A store that lives as long as this object, across any number of writers."""

    capabilities = StoreCapabilities(persistent=False, multi_process=False)

    def __init__(self) -> None:
        self._contents = Contents()
        self._writer: MemoryWriter | None = None
        self._watchers: list[Callable[[], None]] = []

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        await trio.lowlevel.checkpoint()
        if self._writer is not None:
            if not takeover:
                raise StoreUnavailableError(
                    f"this store in memory is being written by this process ({os.getpid()}); "
                    "stop its writer first"
                )
            self._writer.fenced = True
        writer = self._writer = MemoryWriter(self._contents, after_crash=self._writer is not None)
        try:
            yield writer
        finally:
            writer.closed = True
            if self._writer is writer:
                self._writer = None

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        await trio.lowlevel.checkpoint()
        if limit is not None:
            require_limit(limit)
        workflow = self._contents.workflows.get(workflow_id)
        if workflow is None:
            return []
        first = max(seq, 1) - 1
        rows = workflow.rows[first : None if limit is None else first + limit]
        events: list[HistoryEvent] = []
        for event in workflow.decode(rows):
            events.append(event)
            if len(events) % EVENTS_PER_SLICE == 0:
                await trio.lowlevel.checkpoint()
        return events

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        await trio.lowlevel.checkpoint()
        workflow = self._contents.workflows.get(workflow_id)
        return None if workflow is None else workflow.summary

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        runs = sorted(self._matching(filter), key=_place)
        if cursor is not None:
            started_at, workflow_id = read_cursor(cursor)
            last = (-started_at, workflow_id)
            runs = [run for run in runs if _place(run) > last]
        page = runs[:limit]
        return RunPage(page, write_cursor(page[-1]) if len(runs) > limit else None)

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        await trio.lowlevel.checkpoint()
        return len(self._matching(filter))

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        return self._contents.feed(after, limit)

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        rows = [
            row
            for row in self._contents.activities()
            if after is None or (row.workflow_id, row.activity.scheduled_seq) > after
        ]
        rows.sort(key=lambda row: (row.workflow_id, row.activity.scheduled_seq))
        return rows[:limit]

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        await trio.lowlevel.checkpoint()
        due = [
            row
            for row in self._contents.timers()
            if row.timer.fire_at <= as_of and starts in (None, row.timer.timer_id == START_TIMER)
        ]
        due.sort(key=lambda row: (row.timer.fire_at, row.timer.started_seq, row.workflow_id))
        return due

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        await trio.lowlevel.checkpoint()
        instants = (row.timer.fire_at for row in self._contents.timers())
        return min((at for at in instants if after is None or at > after), default=None)

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        workflow = self._contents.workflows.get(workflow_id)
        if workflow is None:
            return frozenset()
        projection = workflow.projection
        return frozenset(ids) & (projection.signal_ids | projection.update_ids)

    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        await trio.lowlevel.checkpoint()
        return [at for at in self._contents.starts(name) if at >= since]

    async def post(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        require_storable(message)
        self._contents.mailbox.post(message)
        for notify in self._watchers:
            notify()

    @contextmanager
    def watch(self, notify: Callable[[], None]) -> Iterator[bool]:
        self._watchers.append(notify)
        try:
            yield True
        finally:
            self._watchers.remove(notify)

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        return self._contents.mailbox.page(after, limit)

    async def fetch_answer(self, message_id: str) -> Answer | None:
        await trio.lowlevel.checkpoint()
        return self._contents.mailbox.fetch(message_id)

    async def list_packages(self) -> Sequence[Package]:
        await trio.lowlevel.checkpoint()
        packages = self._contents.packages.values()
        return sorted(
            packages, key=lambda each: (each.workflow_type, each.deployed_at, each.version)
        )

    async def list_package_routes(self) -> Sequence[PackageRoute]:
        await trio.lowlevel.checkpoint()
        return [
            PackageRoute(name, version) for name, version in sorted(self._contents.routes.items())
        ]

    async def stats(self) -> StoreStats:
        await trio.lowlevel.checkpoint()
        return self._contents.stats()

    def _matching(self, filter: RunFilter) -> list[WorkflowSummary]:
        summaries = (workflow.summary for workflow in self._contents.workflows.values())
        return [summary for summary in summaries if filter.matches(summary)]


def _place(run: WorkflowSummary) -> tuple[int, str]:
    """Where a run stands in the list: newest start first, then by id."""
    return -to_micros(run.started_at), run.workflow_id
