"""Alarms: things to be done at an instant, in memory, by one task for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, TypeVar

import trio

__all__ = ["Alarm", "Alarms"]

Instant = TypeVar("Instant", datetime, float)

FEW = 64
"""Cancelled alarms that are not worth looking for."""


class Alarm:
    """One thing to be done. Got from `Alarms.set`."""

    __slots__ = ("_action", "_cancelled")

    def __init__(self, action: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action
        self._cancelled = cancelled

    @property
    def is_set(self) -> bool:
        """Will it still ring?"""
        return self._action is not None

    def cancel(self) -> None:
        """Forget it; nothing happens when it has rung already."""
        if self._action is not None:
            self._action = None
            self._cancelled()

    def ring(self) -> None:
        """Do it, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Alarms(Generic[Instant]):
    """A heap of alarms, by the wall clock for instants that are recorded, else by the steady one.

    Args:
        now: the present.
        sleep_until: returns when an instant has come.
    """

    def __init__(
        self, now: Callable[[], Instant], sleep_until: Callable[[Instant], Awaitable[None]]
    ) -> None:
        self.now: Callable[[], Instant] = now
        self._sleep_until: Callable[[Instant], Awaitable[None]] = sleep_until
        self._heap: list[tuple[Instant, int, Alarm]] = []
        self._count = 0
        self._cancelled = 0
        self._nap: trio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> Instant | None:
        """When the next of those rings that are not cancelled."""
        return min((at for at, _, alarm in self._heap if alarm.is_set), default=None)

    def set(self, instant: Instant, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant; it must not block, await or raise."""
        alarm = Alarm(action, self._note_cancelled)
        self._count += 1
        heapq.heappush(self._heap, (instant, self._count, alarm))
        if self._heap[0][2] is alarm and self._nap is not None:
            self._nap.cancel()
        return alarm

    async def run(self) -> None:
        """Ring, for ever."""
        while True:
            now = self.now()
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2].ring()
            with trio.CancelScope() as self._nap:
                if self._heap:
                    await self._sleep_until(self._heap[0][0])
                else:
                    await trio.sleep_forever()
            self._nap = None

    def _note_cancelled(self) -> None:
        """Most time limits are never reached: what is cancelled must not pile up until due."""
        self._cancelled += 1
        if self._cancelled > FEW and self._cancelled > len(self._heap) // 2:
            self._heap = [each for each in self._heap if each[2].is_set]
            heapq.heapify(self._heap)
            self._cancelled = 0
