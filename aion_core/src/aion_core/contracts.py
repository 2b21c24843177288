"""Contracts: what the runtime asks of a store. Third parties implement these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import attrs

from aion_core.errors import StoreError
from aion_core.events import HistoryEvent
from aion_core.history import ActivityRow, TimerRow, WorkflowSummary
from aion_core.ids import WorkflowId

__all__ = [
    "Append",
    "DueTimer",
    "EventStore",
    "OpenActivity",
    "RunPage",
    "StoreProvider",
    "StoreWriter",
]


@attrs.frozen
class Append:
    """Events to be added to one workflow, all or none of them.

    Attributes:
        events: with seqs ``expected_seq + 1``, ``expected_seq + 2``, …
        expected_seq: seq of the workflow's last event; 0 creates the workflow.
    """

    workflow_id: WorkflowId
    events: Sequence[HistoryEvent]
    expected_seq: int


@attrs.frozen
class DueTimer:
    """An open timer, with its workflow."""

    workflow_id: WorkflowId
    timer: TimerRow


@attrs.frozen
class OpenActivity:
    """An open activity, with its workflow."""

    workflow_id: WorkflowId
    activity: ActivityRow


@attrs.frozen
class RunPage:
    """A page of a list.

    Attributes:
        cursor: hand it back for the next page; None after the last.
    """

    runs: Sequence[WorkflowSummary]
    cursor: str | None


class StoreWriter(ABC):
    """The authority to write: it exists once per store. Got from `EventStore.writer`.

    Attributes:
        after_crash: the writer before this one ended without leaving its context, so what it had
            begun may have been cut off at any point. A store that cannot tell says True.
    """

    after_crash: bool = True

    @abstractmethod
    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        """Add events to several workflows in one transaction; durable when it returns.

        In the same transaction, from the events alone (`aion_core.history.changes`): summaries,
        open timers, open activities.

        A checkpoint on entry. When cancelled before the transaction began, nothing is written;
        after that it waits for the commit and returns its outcome: there is no third case.

        Returns:
            For each append None, or why this one alone was refused and left nothing:
            `SequenceConflictError` when the workflow's last event is not the expected one, a
            plain `StoreError` when the seqs are not the next ones or there are no events.

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


class EventStore(ABC):
    """Durable histories. Obtained as an async context manager only (`StoreProvider.open`).

    Every coroutine is a checkpoint on entry. Reads see what has been committed.
    """

    @abstractmethod
    def writer(self, *, takeover: bool = False) -> AbstractAsyncContextManager[StoreWriter]:
        """Become the one writer, for the length of the context.

        Args:
            takeover: replace a writer that is still there; its next append is `FencedError`.

        Raises:
            StoreUnavailableError: there is a writer; the message names its holder.
        """

    @abstractmethod
    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        """All events of a workflow, ascending; none for an unknown id.

        Raises:
            CorruptHistoryError: an event cannot be read back.
        """

    async def read_history_from(self, workflow_id: WorkflowId, seq: int) -> Sequence[HistoryEvent]:
        """The events of a workflow from one seq on, ascending.

        Raises:
            CorruptHistoryError: an event cannot be read back.
        """
        return [event for event in await self.read_history(workflow_id) if event.seq >= seq]

    @abstractmethod
    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        """One line about a workflow; None for an unknown id."""

    @abstractmethod
    async def list_runs(self, *, limit: int = 100, cursor: str | None = None) -> RunPage:
        """Workflows, newest start first, then by id; pages without gaps or repeats.

        Raises:
            ValueError: the limit is less than 1, or the cursor is none of this store's.
        """

    @abstractmethod
    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        """Activities without an outcome, by workflow id and ``scheduled_seq``.

        Args:
            after: workflow id and ``scheduled_seq`` of the last row of the page before.
        """

    @abstractmethod
    async def expired_timers(self, as_of: datetime) -> Sequence[DueTimer]:
        """Open timers with ``fire_at <= as_of``, by ``fire_at``, then ``started_seq``."""

    @abstractmethod
    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        """The earliest ``fire_at`` of an open timer, later than ``after`` when given."""


@attrs.frozen
class StoreProvider:
    """What a store plugin offers for its URL scheme.

    Attributes:
        open: given the whole URL, a context manager that opens the store and closes it.
        description: a few words for lists of plugins.
    """

    open: Callable[[str], AbstractAsyncContextManager[EventStore]]
    description: str
