"""Turns: attempts of activities that have to wait until a limit lets them begin.

No task waits for a turn: whoever has one is considered again, and evicted runs stay where they are
until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import trio

from aion_core.contracts import EventStore
from aion_core.errors import StoreError
from aion_core.events import ActivityScheduled
from aion_core.history import ActivityRow
from aion_core.ids import ActivityId
from aion_runtime.alarms import Alarm, Alarms
from aion_runtime.clock import Clock
from aion_runtime.entries import Candidate, Entry
from aion_runtime.limits import Limits, Moment, Ticket
from aion_runtime.slots import Slot

__all__ = ["Turns"]

logger = logging.getLogger("aion_runtime")

PAUSE = 1.0
"""Seconds before the store is asked again that did not answer."""

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class Turns:
    """Who may begin an attempt.

    Args:
        consider: has an activity considered that has its turn, or its run loaded for that.
        total: attempts of all activities at a time; None for any number.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        delays: Alarms[float],
        consider: Callable[[Entry, ActivityId], None],
        total: int | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._delays = delays
        self._consider = consider
        self._limits: Limits[Candidate] = Limits(total)
        self._is_calling = False
        self._is_open = True
        self._alarm: tuple[float, Alarm] | None = None
        self._unknown: list[tuple[str, float]] = []
        self._has_unknown = trio.Event()

    @property
    def has_total(self) -> bool:
        """Do attempts wait that have no limit of their own, too?"""
        return self._limits.total is not None

    def has_turn(self, entry: Entry, row: ActivityRow, scheduled: ActivityScheduled) -> bool:
        """May the current attempt of an activity begin? If not, it is considered when it may."""
        ticket = self._ticket_of(entry, row)
        if ticket is not None:
            return ticket.has_turn
        options = scheduled.options
        entry.waiting[row.activity_id] = self._limits.wait(
            Candidate(entry, row.activity_id, row.scheduled_seq, row.attempt),
            options.limit,
            # By what is recorded, so that a restart does not shuffle the queue.
            row.next_attempt_at or scheduled.recorded_at,
            options.priority,
        )
        self.call()
        return False

    def ask_once(self, entry: Entry, activity_id: ActivityId) -> bool:
        """Is the note still to be asked for that this attempt is about to begin?"""
        candidate = entry.waiting[activity_id].who
        was_asked, candidate.is_asked = candidate.is_asked, True
        return not was_asked

    def is_noted(self, entry: Entry, activity_id: ActivityId) -> bool:
        """Is it recorded that this attempt is about to begin?"""
        return entry.waiting[activity_id].who.is_noted

    def note(self, entry: Entry, activity_id: ActivityId) -> None:
        """It has been recorded that an attempt is about to begin."""
        ticket = entry.waiting.get(activity_id)
        if ticket is not None and ticket.has_turn:
            ticket.who.is_noted = True

    def resume(self, entry: Entry) -> None:
        """The run has been loaded: what was asked of the one before is not heard by this one."""
        rows = {} if entry.run is None else entry.run.projection.activities
        for activity_id, ticket in tuple(entry.waiting.items()):
            row = rows.get(activity_id)
            if row is None or not ticket.who.is_of(row):
                self.leave(entry, activity_id)
            else:
                ticket.who.is_asked = False

    def take(self, entry: Entry, activity_id: ActivityId) -> Slot:
        """What the attempt holds, from its beginning to its end."""
        ticket = entry.waiting.pop(activity_id)
        return Slot(self._limits, ticket, self._moment, self.call)

    def leave(self, entry: Entry, activity_id: ActivityId) -> None:
        """The attempt is not to begin any more."""
        ticket = entry.waiting.pop(activity_id, None)
        if ticket is not None:
            if ticket.has_turn and ticket.who.is_noted:
                # It stands in the store as one that has begun.
                self._limits.begin(ticket, self._moment())
            self._limits.end(ticket)
            self.call()

    def give_back(self, entry: Entry, activity_id: ActivityId) -> None:
        """The time of an attempt has not come, by a clock that was set back after it had its turn,
        or its place in the queue: those are for others until it has, but for one of which it is
        being recorded that it begins.
        """
        ticket = entry.waiting.get(activity_id)
        if ticket is not None and not ticket.who.is_asked:
            self.leave(entry, activity_id)

    def leave_all(self, entry: Entry) -> None:
        """The run takes no attempts any more."""
        for activity_id in tuple(entry.waiting):
            self.leave(entry, activity_id)

    def close(self) -> None:
        """Nobody has a turn from now on."""
        self._is_open = False

    def call(self) -> None:
        """Give everybody a turn who may have one."""
        # Called again by what a turn leads to: else the stack would be as deep as the queue long.
        if self._is_calling or not self._is_open:
            return
        self._is_calling = True
        try:
            while (ticket := self._limits.next(self._moment())) is not None:
                self._consider(ticket.who.entry, ticket.who.activity_id)
        finally:
            self._is_calling = False
        self._set_alarm()
        unknown = self._limits.take_unknown()
        if unknown:
            self._unknown += unknown
            self._has_unknown.set()

    async def run(self) -> None:
        """Find out who began before this engine was opened, for ever."""
        while True:
            while self._unknown:
                await self._find_out(*self._unknown.pop(0))
            self._has_unknown = trio.Event()
            await self._has_unknown.wait()

    async def _find_out(self, name: str, window: float) -> None:
        now = self._clock.now()
        since = now - timedelta(seconds=min(window, (now - _FIRST).total_seconds()))
        try:
            instants = await self._store.limit_starts(name, since)
        except StoreError as error:
            logger.warning(
                "nobody begins under the limit %r before the store says who has, next try in "
                "%.0f s: %s",
                name,
                PAUSE,
                error,
            )
            self._delays.set(self._delays.now() + PAUSE, lambda: self._ask_again(name, window))
        else:
            self._limits.learn(name, window, instants, self._moment())
            self.call()

    def _ask_again(self, name: str, window: float) -> None:
        self._unknown.append((name, window))
        self._has_unknown.set()

    def _ticket_of(self, entry: Entry, row: ActivityRow) -> Ticket[Candidate] | None:
        ticket = entry.waiting.get(row.activity_id)
        if ticket is not None and not ticket.who.is_of(row):
            self.leave(entry, row.activity_id)
            return None
        return ticket

    def _set_alarm(self) -> None:
        due = self._limits.next_due
        if self._alarm is not None:
            if self._alarm[0] == due and self._alarm[1].is_set:
                return
            self._alarm[1].cancel()
        self._alarm = None if due is None else (due, self._delays.set(due, self.call))

    def _moment(self) -> Moment:
        return Moment(self._clock.monotonic(), self._clock.now())
