"""The clock of an engine: the one place where the runtime reads the time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime

import trio

__all__ = ["Clock", "SystemClock", "WorkSlice", "cpu_time_of"]

LONGEST_NAP = 30.0
"""Seconds after which a sleeper reads the wall clock again: it may have been set meanwhile."""


class Clock(ABC):
    """Time, real or not: the wall clock, which is recorded and may be set, and a steady one."""

    @abstractmethod
    def now(self) -> datetime:
        """The present, aware and in UTC."""

    @abstractmethod
    async def sleep_until(self, instant: datetime) -> None:
        """Return when the instant has come; a checkpoint even when it is past."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some moment, which go on evenly whatever happens to the wall clock."""

    @abstractmethod
    async def sleep_until_monotonic(self, instant: float) -> None:
        """Return when `monotonic` has come so far; a checkpoint in any case."""


class SystemClock(Clock):
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        while (left := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110  # no event
            await trio.sleep(min(left, LONGEST_NAP))
        await trio.lowlevel.checkpoint()

    def monotonic(self) -> float:
        return trio.current_time()

    async def sleep_until_monotonic(self, instant: float) -> None:
        await trio.sleep_until(instant)


class WorkSlice:
    """How long a piece of work has kept everybody else waiting: real time, on any clock.

    Args:
        seconds: after which it should let others have their turn.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.perf_counter() + seconds

    async def give_way(self) -> bool:
        """A checkpoint when the slice is used up, and then the next slice begins: True."""
        if time.perf_counter() < self._end:
            return False
        await trio.lowlevel.checkpoint()
        self._end = time.perf_counter() + self._seconds
        return True


def cpu_time_of(thread: int) -> Callable[[], float]:
    """Tells the seconds of CPU time that a thread has used.

    Where the system does not say, real time has to do: it is more, when the thread sleeps.

    Args:
        thread: its identifier, `threading.get_ident`.
    """
    try:
        clock_id = time.pthread_getcpuclockid(thread)
    except (AttributeError, OSError):
        return time.monotonic
    return lambda: time.clock_gettime(clock_id)
