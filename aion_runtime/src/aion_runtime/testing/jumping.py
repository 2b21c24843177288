"""Jumping: a virtual clock moves on by itself while a test waits for its engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from aion_runtime.resting import Rest
from aion_runtime.testing.stillness import Stillness
from aion_runtime.testing.virtual_clock import Follower, VirtualClock

__all__ = ["Jumper", "Watched"]


class Watched(Protocol):
    """An engine whose runs are to find their time.

    Attributes:
        rest: None while there is no engine, after a crash.
        calls_under_way: how many calls of it have not returned.
        store_calls_under_way: how many calls of its store have not returned.
        commits: how often its store has been written to.
    """

    @property
    def rest(self) -> Rest | None: ...
    @property
    def calls_under_way(self) -> int: ...
    @property
    def store_calls_under_way(self) -> int: ...
    @property
    def commits(self) -> int: ...


class Jumper(Follower):
    """Moves a clock to the next instant at which something happens to a run.

    It does so only when nothing else can happen first: no task can run, nothing is read or written,
    and no attempt of an activity is under way, unless it sleeps by this clock. And only while
    somebody waits in a call of the engine, as for the end of a workflow. As nothing can run, that
    call waits for time to pass; and a test that waits for nothing may be about to send a signal,
    which no deadline is to overtake.

    Engines that share a clock have one jumper each; each looks at all of them.
    """

    def __init__(self, clock: VirtualClock, engine: Watched) -> None:
        self._clock = clock
        self._engine = engine
        self._confirmed: object = None
        # One for all, else they would keep each other awake.
        self._stillness: Stillness = next((each._stillness for each in self._all()), Stillness())

    @contextmanager
    def following(self) -> Iterator[None]:
        """For the length of the context `VirtualClock.advance` waits for the engine, too."""
        with self._stillness.watching(), self._clock.followed_by(self):
            yield

    async def run(self) -> None:
        """Jump, for ever."""
        while True:
            await self._stillness.until(self._may_jump)
            delay = self._delay()
            assert delay is not None
            unsure = [each for each in self._all() if not each.is_sure_of_timer]
            for each in unsure:
                await each.confirm_timer()
            if not unsure:
                self._clock.jump(delay)

    async def settle(self) -> None:
        """Return when the engine waits for time to pass, or for an activity."""
        await self._stillness.until(lambda: not self.is_at_work)

    @property
    def is_at_work(self) -> bool:
        """Is something being read or written? Right when no task can run."""
        return self._engine.rest is not None and self._engine.store_calls_under_way > 0

    @property
    def attempts_in_flight(self) -> int:
        """How many attempts of activities are under way, asleep or not."""
        return 0 if self._engine.rest is None else self._engine.rest.attempts_in_flight

    @property
    def next_due(self) -> float | None:
        """In how many seconds something happens to a run of this engine."""
        return None if self._engine.rest is None else self._engine.rest.next_due

    @property
    def is_sure_of_timer(self) -> bool:
        """Is there still the timer that is said to be the next?"""
        return self._confirmed == self._timer()

    async def confirm_timer(self) -> None:
        """Ask the store."""
        self._confirmed = self._timer()
        if self._engine.rest is not None:
            await self._engine.rest.confirm_timer()

    def _timer(self) -> object:
        # Timers change with a commit only: so the store is asked once after each, and not again and
        # again while nothing happens.
        rest = self._engine.rest
        return rest, self._engine.commits, None if rest is None else rest.next_timer

    def _may_jump(self) -> bool:
        jumpers = self._all()
        attempts = sum(each.attempts_in_flight for each in jumpers)
        return (
            self._engine.rest is not None
            and self._engine.calls_under_way > 0
            and not any(each.is_at_work for each in jumpers)
            and attempts <= self._clock.sleeping_attempts
            and not self._clock.is_advancing
            and self._delay() is not None
        )

    def _delay(self) -> float | None:
        delays = [self._clock.next_waking, *(each.next_due for each in self._all())]
        return min((each for each in delays if each is not None), default=None)

    def _all(self) -> list[Jumper]:
        return [each for each in self._clock.followers if isinstance(each, Jumper)]
