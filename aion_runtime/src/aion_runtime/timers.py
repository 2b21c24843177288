"""The timer service: delivers due timers to their workflows, in memory or not.

Open timers are rows in the store. The service knows only when the next is due, so that a hundred
thousand sleeping workflows cost no memory; it asks the store again when that instant has come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

import trio

from aion_core.contracts import EventStore
from aion_core.errors import StoreError
from aion_core.history import TimerRow
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import TimerDue
from aion_runtime.clock import Clock

__all__ = ["TimerService", "due_of"]

logger = logging.getLogger("aion_runtime")

PAUSE_AFTER_ERROR_S = 1.0


def due_of(timer: TimerRow) -> TimerDue:
    """What is handed over when a timer's time has come."""
    return TimerDue(timer_id=timer.timer_id, started_seq=timer.started_seq, fire_at=timer.fire_at)


class TimerService:
    """Watches the store's timers.

    Args:
        fire: takes a due timer for a workflow, and the same one again.
        look_at_starts: told that starts that wait may be due, whose timers others fire.

    Attributes:
        pauses_until: by the steady clock, when it asks a store again that did not answer.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        fire: Callable[[WorkflowId, TimerDue], object],
        look_at_starts: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._fire = fire
        self._look_at_starts = look_at_starts
        self._earliest: datetime | None = None
        self._nap: trio.CancelScope | None = None
        self.pauses_until: float | None = None

    @property
    def earliest(self) -> datetime | None:
        """When the next timer is due, or one that has been cancelled since."""
        return self._earliest

    def look_again(self) -> None:
        """Ask the store when the next timer is due."""
        if self._nap is not None:
            self._nap.cancel()

    def arm(self, fire_at: datetime) -> None:
        """A timer has been recorded."""
        if self._earliest is None or fire_at < self._earliest:
            self._earliest = fire_at
            if self._nap is not None:
                self._nap.cancel()

    async def deliver_due(self) -> None:
        """Post every timer that is due, and find out when the next is."""
        now = self._clock.now()
        # Timers armed while the store is asked are newer than its answer, so the answer must not
        # overwrite them.
        self._earliest = None
        # A timer whose firing is still being written is named again.
        for due in await self._store.expired_timers(now, starts=False):
            self._fire(due.workflow_id, due_of(due.timer))
        self._look_at_starts()
        upcoming = await self._store.next_timer(now)
        if upcoming is not None:
            self.arm(upcoming)

    async def run(self) -> None:
        """Deliver, for ever."""
        while True:
            try:
                await self.deliver_due()
            except StoreError as error:
                logger.warning("due timers cannot be read, next try in 1 s: %s", error)
                self.pauses_until = self._clock.monotonic() + PAUSE_AFTER_ERROR_S
                await self._clock.sleep_until_monotonic(self.pauses_until)
                self.pauses_until = None
                continue
            with trio.CancelScope() as self._nap:
                if self._earliest is None:
                    await trio.sleep_forever()
                else:
                    await self._clock.sleep_until(self._earliest)
            self._nap = None
