"""The clock of an engine: the one place where the runtime reads the time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime

import trio

__all__ = ["Clock", "SystemClock", "WorkSlice", "cpu_time_of", "real_seconds"]

HANDOVER_S = 0.00005
"""Seconds in which a thread takes over."""

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

    async def nap(self, seconds: float) -> None:
        """Let real seconds pass on every clock: for looking now and then at what others do, whose
        time does not jump with ours.
        """
        await trio.sleep(seconds)


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

    @property
    def is_used_up(self) -> bool:
        """Should others have their turn?"""
        return time.perf_counter() >= self._end

    def renew(self) -> None:
        """Begin the next slice: while this work waited for something, others had their turn."""
        self._end = time.perf_counter() + self._seconds

    async def give_way(self) -> bool:
        """When the slice is used up, let others go on, and then the next slice begins: True.

        It is a checkpoint then. Work that could not be cut and took longer gives the others as
        much time, because what they do takes several turns.
        """
        began = time.perf_counter()
        if began < self._end:
            return False
        while True:
            await trio.lowlevel.checkpoint()
            # A thread that waits for the interpreter, such as a database's, is not awake yet when
            # the event loop, which lets go of it for a microsecond, has it back; and because the
            # loop does so more often than every 5 ms (`sys.getswitchinterval`), it is never asked
            # for it. Without this an append took seconds while a long history was replayed.
            time.sleep(HANDOVER_S)  # noqa: ASYNC251  # for a thread, not for a task
            now = time.perf_counter()
            if now - began >= began - self._end:
                break
        self._end = now + self._seconds
        return True


def cpu_time_of(thread: int) -> Callable[[], float]:
    """A clock of the CPU time that a thread has used, in seconds.

    Where the system does not tell, it is the steady clock: then a thread that waits counts as busy.

    Args:
        thread: identifier of a thread of this process.
    """
    find = getattr(time, "pthread_getcpuclockid", None)
    if find is None:
        return time.monotonic
    clock_id = find(thread)
    return lambda: time.clock_gettime(clock_id)


def real_seconds() -> float:
    """Seconds since some moment, from any thread: for who watches this process, on any clock."""
    return time.perf_counter()
