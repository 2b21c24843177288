"""A clock for tests: months pass in no time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from aion_core.authoring.activities import ActivityInfo, activity_info
from aion_core.errors import AionError
from aion_runtime.clock import Clock

__all__ = ["Follower", "VirtualClock"]


class Follower(ABC):
    """Who goes by a virtual clock and has to be waited for when it moves: an engine."""

    @abstractmethod
    async def settle(self) -> None:
        """Return when everything has been done that follows from the last move."""


@attrs.frozen(eq=False)
class _Sleeper:
    """Somebody who waits for an instant of one of the two clocks.

    Attributes:
        by_name: it was asked for by `VirtualClock.sleep`, and not by the engine.
        attempt: the attempt of an activity that sleeps.
    """

    instant: datetime | float
    woken: trio.Event
    by_name: bool = False
    attempt: ActivityInfo | None = None


class VirtualClock(Clock):
    """Stands still until it is moved: ``open_engine(clock=VirtualClock())``.

    In a `test_engine` it also jumps by itself, to the next instant at which something happens,
    while a test waits for the engine.

    Args:
        start: the instant at which it stands, aware.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._sleepers: list[_Sleeper] = []
        self._followers: list[Follower] = []
        self._advances = 0

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        await trio.lowlevel.checkpoint()
        while self._now < instant:
            await self._sleep(_Sleeper(instant, trio.Event()))

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep_until_monotonic(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        while self._monotonic < instant:
            await self._sleep(_Sleeper(instant, trio.Event()))

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time: for activities, their stand-ins, and tasks of the test itself.

        An attempt that sleeps so does not hold time up, as one does that works.
        """
        if math.isnan(seconds) or seconds < 0:
            raise ValueError(f"nobody can sleep {seconds} seconds; give 0 or more")
        await trio.lowlevel.checkpoint()
        instant = self._monotonic + seconds
        attempt = _attempt_or_none()
        while self._monotonic < instant:
            await self._sleep(_Sleeper(instant, trio.Event(), by_name=True, attempt=attempt))

    async def advance(self, seconds: float) -> None:
        """Let time pass, as it does: whoever waits for an instant on the way has his turn there.

        Returns when all that follows has been done, but for activities that work: it does not wait
        for those.
        """
        end = self._monotonic + _duration(seconds)
        self._advances += 1
        try:
            await self._settle()
            while self._monotonic < end:
                left = end - self._monotonic
                self.jump(min(left, max(0.0, min(self._delays(), default=left))))
                await self._settle()
        finally:
            self._advances -= 1

    def jump(self, seconds: float) -> None:
        """Let time pass all at once; those whose instant has come meanwhile wake up together."""
        self._monotonic += _duration(seconds)
        self.set_wall_clock(self._now + timedelta(seconds=seconds))

    def set_wall_clock(self, instant: datetime) -> None:
        """Set the wall clock, as an operator may, on or back; no time passes by that."""
        self._now = instant
        due = [each for each in self._sleepers if self._delay_of(each) <= 0]
        # Taken off here, and not when they run: who is awake does not sleep any more.
        self._sleepers = [each for each in self._sleepers if each not in due]
        for sleeper in due:
            sleeper.woken.set()

    @property
    def is_advancing(self) -> bool:
        """Is somebody in `advance`?"""
        return self._advances > 0

    @property
    def sleeping_attempts(self) -> int:
        """How many attempts are in `sleep`."""
        return len({each.attempt for each in self._sleepers if each.attempt is not None})

    @property
    def next_waking(self) -> float | None:
        """In how many seconds the first of those wakes who are in `sleep`."""
        return min((self._delay_of(each) for each in self._sleepers if each.by_name), default=None)

    @property
    def followers(self) -> Sequence[Follower]:
        """All who follow now."""
        return tuple(self._followers)

    @contextmanager
    def followed_by(self, follower: Follower) -> Iterator[None]:
        """Have `advance` wait for somebody after each move, for the length of the context."""
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    async def _settle(self) -> None:
        await wait_all_tasks_blocked()
        for follower in self.followers:
            await follower.settle()

    async def _sleep(self, sleeper: _Sleeper) -> None:
        self._sleepers.append(sleeper)
        try:
            await sleeper.woken.wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def _delays(self) -> list[float]:
        return [self._delay_of(each) for each in self._sleepers]

    def _delay_of(self, sleeper: _Sleeper) -> float:
        if isinstance(sleeper.instant, datetime):
            return (sleeper.instant - self._now).total_seconds()
        return sleeper.instant - self._monotonic


def _attempt_or_none() -> ActivityInfo | None:
    try:
        return activity_info()
    except AionError:
        return None


def _duration(seconds: float) -> float:
    if math.isnan(seconds) or seconds < 0:
        raise ValueError("time does not pass backwards; set_wall_clock() sets the wall clock")
    return seconds
