"""Stores: durable histories, and what follows from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TypeVar

import attrs

from aion_core.contracts.checking import check_store
from aion_core.contracts.messages import Answer, Message, StoredMessage
from aion_core.contracts.rows import (
    EVERYTHING,
    BegunRun,
    DueReason,
    DueRun,
    DueTimer,
    FeedItem,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
    RunPage,
    StoreStats,
    WaitingStart,
)
from aion_core.errors import CorruptHistoryError, StoreError
from aion_core.events import HistoryEvent
from aion_core.history import (
    Change,
    RunProjection,
    RunSummary,
    WorkflowSummary,
    run_chain,
)
from aion_core.ids import START_TIMER, ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus

__all__ = ["Append", "EventStore", "StoreCapabilities", "StoreProvider", "StoreWriter"]


Row = TypeVar("Row")

PAGE = 1000
"""Rows that a default implementation asks for at a time."""


@attrs.frozen
class Append:
    """What is to be added to one workflow, all of it or nothing.

    Attributes:
        events: with seqs ``expected_seq + 1``, ``expected_seq + 2``, …; may be none, and then
            only the head is checked.
        expected_seq: seq of the workflow's last event; 0 creates the workflow.
        consume: ids of messages to this workflow that become its events here.
        post: messages that these events send.
        answer: answers to messages from outside.
        changes: what `aion_core.history.changes` says of each event, in their order, from a caller
            who has asked already. A store may take it, or ask by itself.
    """

    workflow_id: WorkflowId
    events: Sequence[HistoryEvent]
    expected_seq: int
    consume: Sequence[str] = ()
    post: Sequence[Message] = ()
    answer: Sequence[Answer] = ()
    changes: Sequence[Change | None] | None = None


@attrs.frozen(kw_only=True)
class StoreCapabilities:
    """What a store can do beyond the contract.

    Attributes:
        persistent: what is appended outlives the process.
        multi_process: several processes may read, and post messages, while one writes.
    """

    persistent: bool
    multi_process: bool


class StoreWriter(ABC):
    """The authority to write: it exists once per store. Got from `EventStore.writer`.

    Every coroutine is a checkpoint on entry, and raises what `append_many` raises.

    Attributes:
        after_crash: the writer before this one ended without leaving its context, so what it had
            begun may have been cut off at any point. A store that cannot tell says True.
    """

    after_crash: bool = True

    @abstractmethod
    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        """Add to several workflows in one transaction; durable when it returns.

        In the same transaction: what follows from the events alone (`aion_core.history.changes`:
        summaries, open timers, open activities, starts under rate limits); heartbeats of settled
        activities go; messages are consumed, then posted, then answers kept, of two to one message
        the last. A message whose id is pending, or has a kept answer, is not posted again.

        When cancelled before the transaction began, nothing is written; after that it waits for
        the commit and returns its outcome: there is no third case.

        Returns:
            For each append None, or why this one alone was refused and left nothing:
            `SequenceConflictError` when the workflow's last event is not the expected one,
            `MessageGoneError` when a consumed message is not pending or not to this workflow, a
            plain `StoreError` when the seqs are not the next ones, the first event of a workflow
            is not WorkflowStarted, or something cannot be stored. Appends to one workflow in one
            call see each other.

        Raises:
            FencedError: another writer has taken over; nothing was written.
            StoreUnavailableError: nothing was written; to try again makes sense.
            StoreError: nothing was written, or the answer was lost: read before trying again.
        """

    async def append(
        self, workflow_id: WorkflowId, events: Sequence[HistoryEvent], expected_seq: int
    ) -> None:
        """Add events to one workflow; `append_many` of one, with the refusal raised."""
        (refusal,) = await self.append_many([Append(workflow_id, events, expected_seq)])
        if refusal is not None:
            raise refusal

    @abstractmethod
    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        """Keep the details of an attempt's heartbeat; the last ones win.

        They go with the activity's outcome, or the end of its run. Of an activity that is not
        open in that run, or at another attempt by now, they are dropped.
        """

    @abstractmethod
    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        """Say why a workflow cannot go on, or with None that it can. No event is recorded.

        Seen in summaries by every process. Goes with the end of the run. An unknown id, and one
        whose run is closed, is ignored.
        """

    @abstractmethod
    async def put_package(self, package: Package) -> None:
        """Keep a package, in place of one of the same type and version, and route to it."""

    @abstractmethod
    async def put_package_route(self, route: PackageRoute) -> None:
        """Have new runs of a type go by a version.

        Raises:
            StoreError: there is no such package.
        """

    @abstractmethod
    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        """Forget a package, and the route to it. Without it nothing happens."""

    @abstractmethod
    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        """Delete closed workflows with all of their runs, in one transaction.

        Messages they sent, or that wait for them, stay until consumed, and answers until they are
        forgotten. Unknown ids are ignored.

        Returns:
            How many were deleted.

        Raises:
            StoreError: one of them is open; nothing was deleted.
        """

    @abstractmethod
    async def forget_answers(self, answered_to: datetime) -> int:
        """Delete answers given at that instant or before; returns how many."""


class EventStore(ABC):
    """Durable histories. Obtained as an async context manager only (`StoreProvider.open`).

    Every coroutine is a checkpoint on entry. Reads see what has been committed. Where a method
    has a body it is right for every store, and slow: a store with a better way has its own.
    Lists without an order of their own are by start of the newest run, then by id.
    """

    capabilities: StoreCapabilities

    @abstractmethod
    def writer(self, *, takeover: bool = False) -> AbstractAsyncContextManager[StoreWriter]:
        """Become the one writer, for the length of the context.

        Args:
            takeover: replace a writer that is still there; its next append is `FencedError`.

        Raises:
            StoreUnavailableError: there is a writer; the message names its holder.
        """

    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        """All events of a workflow, ascending; none for an unknown id.

        Raises:
            CorruptHistoryError: an event cannot be read back.
        """
        return await self.read_history_from(workflow_id, 1)

    @abstractmethod
    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        """The events of a workflow from one seq on, ascending; at most ``limit`` of them.

        Reads no more than it returns: this is how long histories are read in pieces.

        Raises:
            CorruptHistoryError: an event cannot be read back.
            ValueError: the limit is less than 1.
        """

    @abstractmethod
    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        """One line about a workflow; None for an unknown id."""

    async def read_run_chain(self, workflow_id: WorkflowId) -> Sequence[RunSummary]:
        """The runs of a workflow, from the first to the newest; none for an unknown id.

        Raises:
            HistoryShapeError: they are no chain.
        """
        return run_chain(workflow_id, await self.read_history(workflow_id))

    @abstractmethod
    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows by their newest run: newest start first, then by id.

        Pages follow each other without gaps or repeats, whatever is started or closed meanwhile.

        Raises:
            ValueError: the limit is less than 1, or the cursor is none of this store's.
        """

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        """How many workflows there are in a list."""
        return len(await self._listed(filter))

    async def list_active(self) -> Sequence[WorkflowId]:
        """Workflows whose newest run is Running."""
        return await self._ids(RunFilter(status=WorkflowStatus.RUNNING))

    async def list_paused(self) -> Sequence[WorkflowId]:
        """Workflows whose newest run is Paused."""
        return await self._ids(RunFilter(status=WorkflowStatus.PAUSED))

    async def list_workflow_ids(self) -> Sequence[WorkflowId]:
        """All workflows."""
        return await self._ids(EVERYTHING)

    @abstractmethod
    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        """Committed events of all workflows, in one order that never changes.

        Nothing is ever committed before what has been read, so a reader that goes on from the
        last position misses nothing.

        Raises:
            ValueError: the limit is less than 1.
        """

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        """What an engine that starts has to do: workflows with pending messages, with timers due
        by now, with activities whose attempt may begin, and stuck ones.

        A start that waits is no such work, even if it is due: see `waiting_starts`. Of paused runs
        only messages count, and that they are stuck.
        """
        due: dict[WorkflowId, set[DueReason]] = {}
        async for stored in self.all_messages():
            due.setdefault(stored.message.target, set()).add(DueReason.MESSAGE)
        for timer in await self.expired_timers(now, starts=False):
            due.setdefault(timer.workflow_id, set()).add(DueReason.TIMER)
        async for each in self.all_activities():
            row = each.activity
            waits = row.held or (row.next_attempt_at is not None and row.next_attempt_at > now)
            if row.cancel_requested or not waits:
                due.setdefault(each.workflow_id, set()).add(DueReason.ACTIVITY)
        for stuck in await self._listed(RunFilter(stuck=True)):
            due.setdefault(stuck.workflow_id, set()).add(DueReason.STUCK)
        found = []
        for workflow_id, reasons in due.items():
            summary = await self.read_summary(workflow_id)
            started_at = _LAST if summary is None else summary.started_at
            ordered = tuple(reason for reason in DueReason if reason in reasons)
            found.append((started_at, workflow_id, ordered))
        return [DueRun(workflow_id, reasons) for _, workflow_id, reasons in sorted(found)]

    @abstractmethod
    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        """Activities without an outcome of runs that are neither paused nor stuck, by workflow
        id and ``scheduled_seq``.

        Args:
            after: workflow id and ``scheduled_seq`` of the last row of the page before.

        Raises:
            ValueError: the limit is less than 1.
        """

    @abstractmethod
    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        """Open timers with ``fire_at <= as_of`` of runs that are neither paused nor stuck, by
        ``fire_at``, then ``started_seq``, then workflow id.

        Args:
            starts: True for those of starts that wait, False for all others; None for both.
        """

    async def waiting_starts(
        self,
        as_of: datetime,
        *,
        since: datetime | None = None,
        without: Collection[str] = (),
        limit: int = 1000,
    ) -> Sequence[WaitingStart]:
        """The first of the starts that wait, in the order of `expired_timers`.

        There may be very many, so a store with a better way reads no more than it returns.

        Args:
            since: only those that are due later than that.
            without: workflow types that are left out.

        Raises:
            ValueError: the limit is less than 1.
        """
        if limit < 1:
            raise ValueError(f"a page holds at least 1 row, not {limit}")
        found: list[WaitingStart] = []
        for due in await self.expired_timers(as_of, starts=True):
            if since is not None and due.timer.fire_at <= since:
                continue
            run = await self.read_summary(due.workflow_id)
            if run is not None and run.workflow_type not in without:
                found.append(
                    WaitingStart(due.workflow_id, due.run_id, run.workflow_type, due.timer)
                )
            if len(found) == limit:
                break
        return found

    async def begun_runs(self) -> Sequence[BegunRun]:
        """Open runs whose code has begun, paused and stuck ones too."""
        started = [
            run
            for status in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)
            for run in await self._listed(RunFilter(status=status))
        ]
        started.sort(key=lambda run: (run.started_at, run.workflow_id))
        waiting = {each.workflow_id for each in await self.expired_timers(_LAST, starts=True)}
        for run in started:
            # Of runs that are paused or stuck no timer is listed.
            is_listed = run.status is WorkflowStatus.RUNNING and run.stuck is None
            if not is_listed and await self._waits(run.workflow_id):
                waiting.add(run.workflow_id)
        return [
            BegunRun(run.workflow_id, run.workflow_type)
            for run in started
            if run.workflow_id not in waiting
        ]

    @abstractmethod
    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        """The earliest ``fire_at`` of such a timer, later than ``after`` when given."""

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        """Which of these signal and update ids stand in any run of a workflow."""
        projection = RunProjection(workflow_id, await self.read_history(workflow_id))
        return frozenset(ids) & (projection.signal_ids | projection.update_ids)

    @abstractmethod
    async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
        """When attempts under a rate limit were begun, from an instant on, ascending.

        From the events alone: each `aion_core.history.AttemptDelivered` of an activity whose row
        has a ``rate`` of that name. They stay when the activity is settled and when its workflow is
        purged; those older than the limit's window may be missing.
        """

    @abstractmethod
    async def post(self, message: Message) -> None:
        """Leave a message, from any process; durable when it returns.

        Of an id that is pending or has a kept answer nothing changes.

        Raises:
            StoreUnavailableError: nothing was written; to try again makes sense.
            StoreError: it cannot be stored.
        """

    def watch(self, notify: Callable[[], None]) -> AbstractContextManager[bool]:
        """For the length of the context, be told soon when a message may have been posted.

        Args:
            notify: called in any thread, and rather too often than too seldom; it must be quick.

        Returns:
            True when that is so; False when this store cannot tell, and one has to look oneself.
        """
        return nullcontext(False)

    @abstractmethod
    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        """Pending messages to all workflows, in order of posting.

        One that cannot be read, because its row is damaged or of a later version, is an
        `UnreadableMessage`, and stops no other. It stays until somebody can.

        Args:
            after: the position of the last message of the page before.

        Raises:
            ValueError: the limit is less than 1.
        """

    @abstractmethod
    async def fetch_answer(self, message_id: str) -> Answer | None:
        """The answer to a message; None while there is none. It stays until it is forgotten."""

    @abstractmethod
    async def list_packages(self) -> Sequence[Package]:
        """All packages, by type, then by deployment, then by version."""

    @abstractmethod
    async def list_package_routes(self) -> Sequence[PackageRoute]:
        """All routes, by type."""

    @abstractmethod
    async def stats(self) -> StoreStats:
        """How much there is."""

    async def check(self) -> Sequence[str]:
        """Look for damage: one sentence for each thing wrong, none when all is sound.

        Reads every history and holds what is kept beside it against it. Of what is written
        meanwhile it may believe that it is wrong.
        """
        return await check_store(self)

    async def _waits(self, workflow_id: WorkflowId) -> bool:
        try:
            history = await self.read_history(workflow_id)
        except CorruptHistoryError:
            return False
        return START_TIMER in RunProjection(workflow_id, history).timers

    async def _listed(self, filter: RunFilter) -> list[WorkflowSummary]:
        runs: list[WorkflowSummary] = []
        page = await self.list_runs(filter, limit=PAGE)
        runs += page.runs
        while page.cursor is not None:
            page = await self.list_runs(filter, limit=PAGE, cursor=page.cursor)
            runs += page.runs
        return runs

    async def _ids(self, filter: RunFilter) -> list[WorkflowId]:
        runs = await self._listed(filter)
        runs.sort(key=lambda run: (run.started_at, run.workflow_id))
        return [run.workflow_id for run in runs]

    async def all_messages(self) -> AsyncIterator[StoredMessage]:
        """Every pending message, in order of posting, read page by page."""
        position = 0
        while page := await self.messages(position, PAGE):
            for stored in page:
                yield stored
            position = page[-1].position

    async def all_activities(self) -> AsyncIterator[OpenActivity]:
        """Every row of `open_activities`, read page by page."""
        after = None
        while page := await self.open_activities(after=after, limit=PAGE):
            for each in page:
                yield each
            after = (page[-1].workflow_id, page[-1].activity.scheduled_seq)


@attrs.frozen
class StoreProvider:
    """What a store plugin offers for its URL scheme.

    Attributes:
        open: given the whole URL, a context manager that opens the store and closes it.
        description: a few words for lists of plugins.
        exists: given the whole URL, whether there is a store yet, without making one; raises
            ``ConfigError`` as ``open``. None where that cannot be said.
    """

    open: Callable[[str], AbstractAsyncContextManager[EventStore]]
    description: str
    exists: Callable[[str], bool] | None = None


_LAST = datetime.max.replace(tzinfo=UTC)
