"""A clock for tests: months pass in no time, and never by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

from aion_runtime.clock import Clock

__all__ = ["VirtualClock"]


class VirtualClock(Clock):
    """Stands still until `advance` is called. ``open_engine(clock=VirtualClock())``.

    Args:
        start: the instant at which it stands, aware.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._moved = trio.Event()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        await trio.lowlevel.checkpoint()
        while self._now < instant:
            await self._moved.wait()

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep_until_monotonic(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        while self._monotonic < instant:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass; sleepers whose instant has come wake up."""
        if seconds < 0:
            raise ValueError("time does not pass backwards; set_wall_clock() sets the wall clock")
        self._monotonic += seconds
        self.set_wall_clock(self._now + timedelta(seconds=seconds))

    def set_wall_clock(self, instant: datetime) -> None:
        """Set the wall clock, as an operator may, on or back; no time passes by that."""
        self._now = instant
        moved, self._moved = self._moved, trio.Event()
        moved.set()
