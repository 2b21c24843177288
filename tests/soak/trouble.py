"""Trouble: a store that fails now and then, or takes its time, and a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import trio

from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_runtime.clock import SystemClock
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter

__all__ = ["JumpingClock", "TroubledStore"]

REFUSED = 0.02
LOST = 0.01
SLOW = 0.05
UNREADABLE = 0.01
"""How often a commit is refused, succeeds but says that it failed, or is slow; and how often a
history cannot be read."""

LONGEST_COMMIT_S = 0.15

LONGEST_JUMP_S = 1.5
LONGEST_STAY_S = 2.0
"""How far the wall clock is off at most, and for how long it is so."""

SHORTEST_NAP_S = 0.05


class TroubledStore(WrappedStore):
    """Fails and dawdles, as the dice say.

    Args:
        note: told of each trouble, by its name, before it comes.
    """

    def __init__(self, inner: EventStore, dice: random.Random, note: Callable[[str], None]) -> None:
        super().__init__(inner)
        self.dice = dice
        self.note = note

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return _TroubledWriter(self, writer)

    async def read_history(self, workflow_id: WorkflowId) -> Sequence[HistoryEvent]:
        self._may_fail()
        return await super().read_history(workflow_id)

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[HistoryEvent]:
        self._may_fail()
        return await super().read_history_from(workflow_id, seq, limit)

    def _may_fail(self) -> None:
        if self.dice.random() < UNREADABLE:
            self.note("unreadable")
            raise StoreUnavailableError("the disk does not answer")


class _TroubledWriter(WrappedWriter):
    def __init__(self, store: TroubledStore, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._store = store

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        dice = self._store.dice
        if dice.random() < SLOW:
            self._store.note("slow")
            await trio.sleep(dice.uniform(0, LONGEST_COMMIT_S))
        if dice.random() < REFUSED:
            self._store.note("refused")
            raise StoreUnavailableError("the disk is on fire")
        refusals = await super().append_many(appends)
        if dice.random() < LOST:
            self._store.note("lost")
            raise StoreError("the answer was lost; read before trying again")
        return refusals


class JumpingClock(SystemClock):
    """The wall clock is set on and back by somebody who does not know what he does."""

    def __init__(self, dice: random.Random, note: Callable[[str], None]) -> None:
        self._dice = dice
        self._note = note
        self._offset = timedelta()
        self._next_jump = 0.0

    def now(self) -> datetime:
        passed = self.monotonic()
        if passed >= self._next_jump:
            self._note("jump of the clock")
            self._next_jump = passed + self._dice.uniform(0, LONGEST_STAY_S)
            self._offset = timedelta(seconds=self._dice.uniform(-LONGEST_JUMP_S, LONGEST_JUMP_S))
        return super().now() + self._offset

    async def sleep_until(self, instant: datetime) -> None:
        while (left := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110  # no event
            await trio.sleep(min(left, SHORTEST_NAP_S))
        await trio.lowlevel.checkpoint()
