"""Rest: what an engine that has nothing to do now waits for. For clocks that jump.

What is told here concerns runs only. Housekeeping has no part in it.
"""

from __future__ import annotations

from datetime import datetime

from aion_core.contracts import EventStore
from aion_runtime.alarms import Alarms
from aion_runtime.attempts import AttemptManager
from aion_runtime.clock import Clock
from aion_runtime.keeping import Keeper
from aion_runtime.timers import TimerService

__all__ = ["Rest"]


class Rest:
    """Looks at the parts of one engine, and changes none.

    Every answer is right when no task can run: what a task is about to do is not seen.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        keeper: Keeper,
        attempts: AttemptManager,
        timers: TimerService,
        alarms: Alarms[datetime],
        delays: Alarms[float],
    ) -> None:
        self._store = store
        self._clock = clock
        self._keeper = keeper
        self._attempts = attempts
        self._timers = timers
        self._alarms = alarms
        self._delays = delays

    @property
    def attempts_in_flight(self) -> int:
        """How many attempts of activities are under way."""
        return self._attempts.in_flight

    @property
    def next_due(self) -> float | None:
        """In how many seconds something happens to a run by itself: a timer, an attempt that waits
        for its time, a time limit, or another try of what failed in the store.

        The timer may be one that has been cancelled: see `confirm_timer`.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        walls = (self._alarms.next_due, self._timers.earliest)
        steadies = (self._delays.next_due, self._keeper.pauses_until, self._timers.pauses_until)
        delays = [(each - now).total_seconds() for each in walls if each is not None]
        delays += [each - monotonic for each in steadies if each is not None]
        # What is due already is about to happen, or waits for something else than time.
        return min((each for each in delays if each > 0), default=None)

    @property
    def next_timer(self) -> datetime | None:
        """When the next timer is due, or one that has been cancelled."""
        return self._timers.earliest

    async def confirm_timer(self) -> None:
        """Have a timer that has been cancelled forgotten."""
        expected = self._timers.earliest
        if await self._store.next_timer(self._clock.now()) != expected:
            self._timers.look_again()
