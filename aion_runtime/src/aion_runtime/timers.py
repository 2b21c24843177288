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
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import TimerDue
from aion_runtime.clock import Clock

__all__ = ["TimerService"]

logger = logging.getLogger("aion_runtime")

PAUSE_AFTER_ERROR_S = 1.0


class TimerService:
    """Watches the store's timers.

    Args:
        post: takes a due timer for a workflow.

    Attributes:
        pauses_until: by the steady clock, when it asks a store again that did not answer.
    """

    def __init__(
        self, store: EventStore, clock: Clock, post: Callable[[WorkflowId, TimerDue], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._post = post
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
        # A timer whose firing is still being written is posted again; its workflow drops it.
        for due in await self._store.expired_timers(now):
            self._post(
                due.workflow_id,
                TimerDue(
                    timer_id=due.timer.timer_id,
                    started_seq=due.timer.started_seq,
                    fire_at=due.timer.fire_at,
                ),
            )
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
