"""Alarms: things to be done at an instant, in memory, by one task for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime

import trio

from aion_runtime.clock import Clock

__all__ = ["Alarm", "Alarms"]


class Alarm:
    """One thing to be done. Got from `Alarms.set`."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget it; nothing happens when it has rung already."""
        self._action = None

    def ring(self) -> None:
        """Do it, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Alarms:
    """A heap of alarms.

    Args:
        clock: whose time they go by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, Alarm]] = []
        self._count = 0
        self._nap: trio.CancelScope | None = None

    def set(self, instant: datetime, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant; it must not block, await or raise."""
        alarm = Alarm(action)
        self._count += 1
        heapq.heappush(self._heap, (instant, self._count, alarm))
        if self._heap[0][2] is alarm and self._nap is not None:
            self._nap.cancel()
        return alarm

    async def run(self) -> None:
        """Ring, for ever."""
        while True:
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2].ring()
            with trio.CancelScope() as self._nap:
                if self._heap:
                    await self._clock.sleep_until(self._heap[0][0])
                else:
                    await trio.sleep_forever()
            self._nap = None
