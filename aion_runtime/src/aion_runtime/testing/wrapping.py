"""Wrapping: a store that hands every call on to another one, past one place. To be derived from.

Also those methods are handed on for which the contract has a body: what the other store does in a
better way of its own is done so here, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from aion_core.contracts import (
    EVERYTHING,
    Answer,
    Append,
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
    StoredMessage,
    StoreStats,
    StoreWriter,
    WaitingStart,
)
from aion_core.errors import StoreError
from aion_core.events import HistoryEvent
from aion_core.history import RunSummary, WorkflowSummary
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload

__all__ = ["WrappedStore", "WrappedWriter"]

T = TypeVar("T")


class WrappedStore(EventStore):
    """Hands everything on.

    Args:
        inner: the store that does it.
    """

    def __init__(self, inner: EventStore) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities

    async def through(self, call: Coroutine[Any, Any, T]) -> T:
        """Every call of the store and of its writers passes here."""
        return await call

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        """What is given out in place of a writer of the inner store."""
        return WrappedWriter(self, writer)

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        async with self.inner.writer(takeover=takeover) as writer:
            yield self.wrap(writer)

    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        return await self.through(self.inner.read_history(workflow_id))

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        return await self.through(self.inner.read_history_from(workflow_id, seq, limit))

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        return await self.through(self.inner.read_summary(workflow_id))

    async def read_run_chain(self, workflow_id: WorkflowId) -> Sequence[RunSummary]:
        return await self.through(self.inner.read_run_chain(workflow_id))

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        return await self.through(self.inner.list_runs(filter, limit=limit, cursor=cursor))

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        return await self.through(self.inner.count(filter))

    async def list_active(self) -> Sequence[WorkflowId]:
        return await self.through(self.inner.list_active())

    async def list_paused(self) -> Sequence[WorkflowId]:
        return await self.through(self.inner.list_paused())

    async def list_workflow_ids(self) -> Sequence[WorkflowId]:
        return await self.through(self.inner.list_workflow_ids())

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        return await self.through(self.inner.feed(after, limit))

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        return await self.through(self.inner.due_work(now))

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        return await self.through(self.inner.open_activities(after=after, limit=limit))

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        return await self.through(self.inner.expired_timers(as_of, starts=starts))

    async def waiting_starts(
        self,
        as_of: datetime,
        *,
        since: datetime | None = None,
        without: Collection[str] = (),
        limit: int = 1000,
    ) -> Sequence[WaitingStart]:
        return await self.through(
            self.inner.waiting_starts(as_of, since=since, without=without, limit=limit)
        )

    async def begun_runs(self) -> Sequence[BegunRun]:
        return await self.through(self.inner.begun_runs())

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        return await self.through(self.inner.next_timer(after))

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        return await self.through(self.inner.seen(workflow_id, ids))

    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        return await self.through(self.inner.limit_starts(name, since))

    async def post(self, message: Message) -> None:
        await self.through(self.inner.post(message))

    def watch(self, notify: Callable[[], None]) -> AbstractContextManager[bool]:
        return self.inner.watch(notify)

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        return await self.through(self.inner.messages(after, limit))

    async def fetch_answer(self, message_id: str) -> Answer | None:
        return await self.through(self.inner.fetch_answer(message_id))

    async def list_packages(self) -> Sequence[Package]:
        return await self.through(self.inner.list_packages())

    async def list_package_routes(self) -> Sequence[PackageRoute]:
        return await self.through(self.inner.list_package_routes())

    async def stats(self) -> StoreStats:
        return await self.through(self.inner.stats())

    async def check(self) -> Sequence[str]:
        return await self.through(self.inner.check())


class WrappedWriter(StoreWriter):
    """Hands everything on."""

    def __init__(self, store: WrappedStore, inner: StoreWriter) -> None:
        self.inner = inner
        self.after_crash = inner.after_crash
        self._through = store.through

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        return await self._through(self.inner.append_many(appends))

    async def append(
        self, workflow_id: WorkflowId, events: Sequence[HistoryEvent], expected_seq: int
    ) -> None:
        await self._through(self.inner.append(workflow_id, events, expected_seq))

    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        await self._through(
            self.inner.put_heartbeat(workflow_id, run_id, activity_id, attempt, details)
        )

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        await self._through(self.inner.put_stuck(workflow_id, reason))

    async def put_package(self, package: Package) -> None:
        await self._through(self.inner.put_package(package))

    async def put_package_route(self, route: PackageRoute) -> None:
        await self._through(self.inner.put_package_route(route))

    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        await self._through(self.inner.delete_package(workflow_type, version))

    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        return await self._through(self.inner.purge(workflow_ids))

    async def forget_answers(self, answered_to: datetime) -> int:
        return await self._through(self.inner.forget_answers(answered_to))
