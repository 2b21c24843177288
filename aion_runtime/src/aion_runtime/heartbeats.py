"""Heartbeats: the last word of each attempt, kept in the store for the attempt that may follow."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import trio

from aion_core.contracts import EventStore, StoreWriter
from aion_core.errors import StoreError
from aion_core.ids import ActivityId, WorkflowId
from aion_core.payloads import Payload
from aion_runtime.attempt import Attempt
from aion_runtime.clock import Clock

__all__ = ["Heartbeats"]

logger = logging.getLogger("aion_runtime")

Call = tuple[WorkflowId, ActivityId]

INTERVAL_S = 1.0
"""Seconds between two writes of one activity's heartbeats."""

LAST_WORDS_S = 1.0
"""Seconds for which an engine that stops waits for the store to take those of the last second."""


class Heartbeats:
    """Takes details at any rate, and writes the last ones of each attempt: the first at once, and
    what follows within a second, once for all that came in it.

    What it cannot write is dropped: a heartbeat that comes too late helps nobody.
    """

    def __init__(self, store: EventStore, writer: StoreWriter, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._last: dict[Call, Payload] = {}
        self._to_write: dict[Call, tuple[Attempt, Payload]] = {}
        self._nap: trio.CancelScope | None = None
        self._written_at: dict[Call, float] = {}
        self._has_more = trio.Event()

    def keep(self, attempt: Attempt, details: Payload) -> None:
        """Take the details of an attempt; the last ones win."""
        call = attempt.info.workflow_id, attempt.info.activity_id
        self._last[call] = details
        self._to_write[call] = attempt, details
        self._has_more.set()
        if self._nap is not None and call not in self._written_at:
            self._nap.cancel()

    async def last(self, attempt: Attempt) -> Payload | None:
        """What the attempts before this one have left; from the store, after a restart."""
        info = attempt.info
        kept = self._last.get((info.workflow_id, info.activity_id))
        if kept is not None:
            return kept
        seq = attempt.scheduled.seq
        try:
            rows = await self._store.open_activities(after=(info.workflow_id, seq - 1), limit=1)
        except StoreError as error:
            logger.warning("the last heartbeat of %s is not known: %s", info.activity_id, error)
            return None
        for row in rows:
            if (row.workflow_id, row.activity.scheduled_seq) == (info.workflow_id, seq):
                return row.heartbeat
        return None

    def forget(self, workflow_id: WorkflowId, activity_id: ActivityId, *, is_over: bool) -> None:
        """The attempt has ended, and with ``is_over`` the activity: nothing more is written."""
        if not self._last:
            return  # most activities never say anything
        self._to_write.pop((workflow_id, activity_id), None)
        if is_over:
            self._last.pop((workflow_id, activity_id), None)
            self._written_at.pop((workflow_id, activity_id), None)

    @asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Write at the end of the block what the attempts have said last that were released."""
        try:
            yield
        finally:
            if self._to_write:
                # By then everything is cancelled. Bounded: a store may not answer any more.
                with trio.CancelScope(shield=True):
                    await self._write_all_within(LAST_WORDS_S)

    async def _write_all_within(self, seconds: float) -> None:
        async with trio.open_nursery() as nursery:

            async def write_all() -> None:
                async with trio.open_nursery() as writing:
                    for call in tuple(self._to_write):
                        writing.start_soon(self._write, call)
                nursery.cancel_scope.cancel()

            nursery.start_soon(write_all)
            await self._clock.nap(seconds)
            nursery.cancel_scope.cancel()

    async def run(self) -> None:
        """Write, for ever."""
        while True:
            self._has_more = trio.Event()
            now = self._clock.monotonic()
            for call in [call for call in self._to_write if self._may_write_at(call) <= now]:
                await self._write(call)
            next_at = min(map(self._may_write_at, self._to_write), default=None)
            if next_at is None:
                await self._has_more.wait()
            elif next_at > self._clock.monotonic():
                with trio.CancelScope() as self._nap:
                    await self._clock.sleep_until_monotonic(next_at)
                self._nap = None

    def _may_write_at(self, call: Call) -> float:
        return self._written_at.get(call, -inf) + INTERVAL_S

    async def _write(self, call: Call) -> None:
        found = self._to_write.pop(call, None)
        if found is None:
            return  # it has ended meanwhile
        attempt, details = found
        info = attempt.info
        self._written_at[call] = self._clock.monotonic()
        try:
            await self._writer.put_heartbeat(
                info.workflow_id, info.run_id, info.activity_id, info.attempt, details
            )
        except StoreError as error:
            logger.warning("a heartbeat of %s was not kept: %s", info.activity_id, error)
