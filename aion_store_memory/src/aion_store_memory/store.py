"""The store: the contract over a dict of workflows. No I/O: an append awaits nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import trio

from aion_core.codec import to_micros
from aion_core.contracts import (
    Append,
    DueTimer,
    EventStore,
    OpenActivity,
    RunPage,
    StoreProvider,
    StoreWriter,
)
from aion_core.errors import ConfigError, FencedError, StoreError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.storing import read_cursor, require_limit, write_cursor
from aion_store_memory.workflow import StoredWorkflow

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

    def __init__(self) -> None:
        self._workflows: dict[WorkflowId, StoredWorkflow] = {}
        self._epoch = 0
        self._writer: _MemoryWriter | None = None

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
        writer = self._writer = _MemoryWriter(self._workflows, after_crash=self._writer is not None)
        try:
            yield writer
        finally:
            writer.closed = True
            if self._writer is writer:
                self._writer = None

    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        await trio.lowlevel.checkpoint()
        events: list[HistoryEvent] = []
        workflow = self._workflows.get(workflow_id)
        if workflow is not None:
            for event in workflow.decode(workflow.rows.copy()):
                events.append(event)
                if len(events) % EVENTS_PER_SLICE == 0:
                    await trio.lowlevel.checkpoint()
        return events

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        await trio.lowlevel.checkpoint()
        workflow = self._workflows.get(workflow_id)
        return None if workflow is None else workflow.summary

    async def list_runs(self, *, limit: int = 100, cursor: str | None = None) -> RunPage:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        runs = sorted((workflow.summary for workflow in self._workflows.values()), key=_place)
        if cursor is not None:
            started_at, workflow_id = read_cursor(cursor)
            last = (-started_at, workflow_id)
            runs = [run for run in runs if _place(run) > last]
        page = runs[:limit]
        return RunPage(page, write_cursor(page[-1]) if len(runs) > limit else None)

    async def open_activities(
        self, *, after: tuple[WorkflowId, int] | None = None, limit: int = 1000
    ) -> Sequence[OpenActivity]:
        await trio.lowlevel.checkpoint()
        require_limit(limit)
        rows = [
            OpenActivity(workflow.workflow_id, activity)
            for workflow in self._workflows.values()
            for activity in workflow.projection.activities.values()
            if after is None or (workflow.workflow_id, activity.scheduled_seq) > after
        ]
        rows.sort(key=lambda row: (row.workflow_id, row.activity.scheduled_seq))
        return rows[:limit]

    async def expired_timers(self, as_of: datetime) -> Sequence[DueTimer]:
        await trio.lowlevel.checkpoint()
        due = [row for row in self._timers() if row.timer.fire_at <= as_of]
        due.sort(key=lambda row: (row.timer.fire_at, row.timer.started_seq, row.workflow_id))
        return due

    async def next_timer(self, after: datetime | None = None) -> datetime | None:
        await trio.lowlevel.checkpoint()
        instants = (row.timer.fire_at for row in self._timers())
        return min((at for at in instants if after is None or at > after), default=None)

    def _timers(self) -> list[DueTimer]:
        return [
            DueTimer(workflow.workflow_id, timer)
            for workflow in self._workflows.values()
            for timer in workflow.projection.timers.values()
        ]


class _MemoryWriter(StoreWriter):
    def __init__(self, workflows: dict[WorkflowId, StoredWorkflow], *, after_crash: bool) -> None:
        self._workflows = workflows
        # Only of a writer that was taken over: memory does not survive any other crash.
        self.after_crash = after_crash
        self.fenced = False
        self.closed = False

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise StoreError("this writer has been closed, nothing was written; get a new one")
        if self.fenced:
            raise FencedError(
                "another writer has taken over this store in memory; nothing was written, "
                "and this one can write no more"
            )
        return [self._append(append) for append in appends]

    def _append(self, append: Append) -> StoreError | None:
        workflow_id = append.workflow_id
        workflow = self._workflows.get(workflow_id) or StoredWorkflow(workflow_id)
        try:
            workflow.append(append)
        except StoreError as refusal:
            return refusal
        self._workflows[workflow_id] = workflow
        return None


def _place(run: WorkflowSummary) -> tuple[int, str]:
    """Where a run stands in the list: newest start first, then by id."""
    return -to_micros(run.started_at), run.workflow_id
