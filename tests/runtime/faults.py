"""A store for fault tests: a real one, around whose commits things go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime

import trio

from aion_core import events as e
from aion_core.contracts import (
    EVERYTHING,
    Answer,
    Append,
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
)
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.history import WorkflowSummary
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_store_memory.store import MemoryStore

Kind = type[e.HistoryEvent]


class Gate:
    """Where commits wait."""

    def __init__(self) -> None:
        self.reached = trio.Event()
        self._opened = trio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class FaultyStore(EventStore):
    """Hands everything to a real store.

    Its writers say what a store says that cannot tell: that the one before them may have crashed.

    Attributes:
        tries: for each append that was tried, the kinds of its events.
        reads: whose history was read from its beginning.
        unreadable: raised by the next reads of a history from its beginning.
        unreadable_ranges: raised by the next reads of a history from another place on.
        unpostable: raised by the next commits that post a message.
        unkept: raised by the next heartbeats.
        heartbeats: details of those that were kept, in order.
        unmarkable: raised when the next runs are marked as stuck, or as stuck no more.
    """

    def __init__(self, inner: EventStore | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.tries: list[list[Kind]] = []
        self.reads: list[WorkflowId] = []
        self.unreadable: list[Exception] = []
        self.unreadable_ranges: list[Exception] = []
        self.unpostable: list[Exception] = []
        self.unkept: list[Exception] = []
        self.heartbeats: list[bytes] = []
        self.unmarkable: list[Exception] = []
        self.capabilities = self.inner.capabilities
        self._gates: list[tuple[Kind, Gate]] = []
        self._refused: list[tuple[Kind, Exception]] = []
        self._lost: list[Kind] = []
        self._meddlers: list[tuple[Kind, Callable[[StoreWriter], object]]] = []

    def hold(self, kind: Kind) -> Gate:
        """Commits with such an event wait until the gate is opened."""
        gate = Gate()
        self._gates.append((kind, gate))
        return gate

    def refuse(self, kind: Kind, *, times: int = 1, error: Exception | None = None) -> None:
        """Commits with such an event fail, and leave nothing."""
        self._refused += [(kind, error or StoreUnavailableError("the disk is on fire"))] * times

    def lose_answer(self, kind: Kind, *, times: int = 1) -> None:
        """Commits with such an event succeed, but whoever asked is told otherwise."""
        self._lost += [kind] * times

    def meddle(self, kind: Kind, meddler: Callable[[StoreWriter], object]) -> None:
        """Have an async function write before the next commit with such an event."""
        self._meddlers.append((kind, meddler))

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        async with self.inner.writer(takeover=takeover) as writer:
            yield _FaultyWriter(self, writer)

    async def commit(
        self, inner: StoreWriter, appends: Sequence[Append]
    ) -> Sequence[StoreError | None]:
        events = [event for append in appends for event in append.events]
        self.tries.append([type(event) for event in events])

        def struck(kind: Kind) -> bool:
            return any(isinstance(event, kind) for event in events)

        for kind, gate in self._gates:
            if struck(kind):
                await gate.pass_through()
        for index, (kind, meddler) in enumerate(self._meddlers):
            if struck(kind):
                del self._meddlers[index]
                await meddler(inner)  # type: ignore[misc]
                break
        if self.unpostable and any(append.post for append in appends):
            raise self.unpostable.pop(0)
        for index, (kind, error) in enumerate(self._refused):
            if struck(kind):
                del self._refused[index]
                raise error
        result = await inner.append_many(appends)
        for index, kind in enumerate(self._lost):
            if struck(kind):
                del self._lost[index]
                raise StoreError("the answer was lost; read before trying again")
        return result

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[e.HistoryEvent]:
        if seq == 1:
            self.reads.append(workflow_id)
        elif self.unreadable_ranges:
            raise self.unreadable_ranges.pop(0)
        history = await self.inner.read_history_from(workflow_id, seq, limit)
        if seq == 1 and self.unreadable:
            raise self.unreadable.pop(0)
        return history

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        return await self.inner.read_summary(workflow_id)

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        return await self.inner.list_runs(filter, limit=limit, cursor=cursor)

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        return await self.inner.count(filter)

    async def list_active(self) -> Sequence[WorkflowId]:
        return await self.inner.list_active()

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        return await self.inner.feed(after, limit)

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        return await self.inner.due_work(now)

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        return await self.inner.open_activities(after=after, limit=limit)

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        return await self.inner.expired_timers(as_of, starts=starts)

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        return await self.inner.next_timer(after)

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        return await self.inner.seen(workflow_id, ids)

    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        return await self.inner.limit_starts(name, since)

    async def post(self, message: Message) -> None:
        await self.inner.post(message)

    def watch(self, notify: Callable[[], None]) -> AbstractContextManager[bool]:
        return self.inner.watch(notify)

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        return await self.inner.messages(after, limit)

    async def fetch_answer(self, message_id: str) -> Answer | None:
        return await self.inner.fetch_answer(message_id)

    async def list_packages(self) -> Sequence[Package]:
        return await self.inner.list_packages()

    async def list_package_routes(self) -> Sequence[PackageRoute]:
        return await self.inner.list_package_routes()

    async def stats(self) -> StoreStats:
        return await self.inner.stats()

    async def check(self) -> Sequence[str]:
        return await self.inner.check()


class _FaultyWriter(StoreWriter):
    def __init__(self, store: FaultyStore, inner: StoreWriter) -> None:
        self._store = store
        self._inner = inner

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        return await self._store.commit(self._inner, appends)

    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        if self._store.unkept:
            raise self._store.unkept.pop(0)
        await self._inner.put_heartbeat(workflow_id, run_id, activity_id, attempt, details)
        self._store.heartbeats.append(details.data)

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        if self._store.unmarkable:
            raise self._store.unmarkable.pop(0)
        await self._inner.put_stuck(workflow_id, reason)

    async def put_package(self, package: Package) -> None:
        await self._inner.put_package(package)

    async def put_package_route(self, route: PackageRoute) -> None:
        await self._inner.put_package_route(route)

    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        await self._inner.delete_package(workflow_type, version)

    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        return await self._inner.purge(workflow_ids)

    async def forget_answers(self, answered_to: datetime) -> int:
        return await self._inner.forget_answers(answered_to)
