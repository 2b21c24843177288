"""Admission: which of the starts that wait begin, and when.

A start waits because of its delay, or because ``max_running`` or the limit of its workflow has no
room. It is a row in the store, and costs nothing here before it is among the first: of each limit a
few hundred are kept in memory, and the next are read when most of these have begun. So a hundred
thousand cost little memory, and opening an engine no time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import attrs
import trio

from aion_core import events as e
from aion_core.contracts import EventStore, RunFilter, WaitingStart
from aion_core.errors import CorruptHistoryError, StoreError
from aion_core.history import TimerRow
from aion_core.ids import START_TIMER, WorkflowId
from aion_core.machine.arrivals import StartRequest, TimerDue
from aion_core.machine.run import Run
from aion_core.policies import Limit
from aion_runtime.alarms import Alarm, Alarms
from aion_runtime.clock import Clock
from aion_runtime.limits import Limits, Moment, Ticket
from aion_runtime.timers import due_of

__all__ = ["Admission"]

logger = logging.getLogger("aion_runtime")

KEPT = 500
"""Of one limit so many starts are kept in memory that have not begun."""

PAUSE_AFTER_ERROR_S = 1.0


@attrs.define(eq=False)
class _Seat:
    """A run that has begun, or a start that is among the first to begin.

    Attributes:
        since: since when it waits, which is its place in the queue.
        due: the timer to be fired; None while its start is not durable.
    """

    ticket: Ticket[WorkflowId]
    since: datetime
    due: TimerDue | None = None

    @property
    def lane(self) -> str | None:
        """The name of its limit."""
        return None if self.ticket.limit is None else self.ticket.limit.name


class Admission:
    """Counts runs from when they begin until they end, and has starts wait for their turn.

    Args:
        delays: alarms by the steady clock.
        limits: the limit of each workflow type that has one.
        max_running: how many runs of all types may be under way; None for any number.

    Attributes:
        is_on: some starts may have to wait for others.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        delays: Alarms[float],
        limits: Mapping[str, Limit],
        max_running: int | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._delays = delays
        self._limit_of = limits
        self._types: dict[str | None, list[str]] = {None: []}
        for workflow_type, limit in limits.items():
            self._types.setdefault(limit.name, []).append(workflow_type)
        self._limits: Limits[WorkflowId] = Limits(max_running)
        self._counts_all = max_running is not None
        self.is_on = self._counts_all or bool(limits)
        self._seats: dict[WorkflowId, _Seat] = {}
        # How many of each limit are in memory and have not begun.
        self._kept: Counter[str | None] = Counter()
        # Limits of which the store has starts that are due and not in memory: nobody overtakes
        # them. And those of which it may have some.
        self._more: set[str | None] = set()
        self._to_read: set[str | None] = set(self._types)
        self._put_off_meanwhile: set[str | None] = set()
        self._may_wait = True
        # Up to which instant those that have become due have been read, and whether to go on.
        self._read_to = clock.now()
        self._are_more_due = False
        self._newest = datetime.min.replace(tzinfo=clock.now().tzinfo)
        self._wake = trio.Event()
        self._alarm: Alarm | None = None
        self._is_calling = False
        self._has_stopped = False

    def connect(self, fire: Callable[[WorkflowId, TimerDue], bool]) -> None:
        """Say who hands a due timer over; it says whether the run can take it. Called once."""
        self._fire = fire

    async def recover(self) -> None:
        """Count what is under way already, before anything is started."""
        if self.is_on:
            for run in await self._store.begun_runs():
                limit = self._limit_of.get(run.workflow_type)
                if limit is not None or self._counts_all:
                    ticket = self._limits.occupy(run.workflow_id, limit)
                    self._seats[run.workflow_id] = _Seat(ticket, self._clock.now())
        now = self._read_to = self._clock.now()
        latest = datetime.max.replace(tzinfo=now.tzinfo)
        self._may_wait = bool(await self._store.waiting_starts(latest, limit=1))
        if self.is_on:
            await self._read()
            await self._learn_rates()
        self._wake.set()

    def admit(self, workflow_id: WorkflowId, request: StartRequest) -> StartRequest:
        """A run is about to be started: the same request if it begins at once, else one that waits.

        Asked again, because the start could not be stored, it says the same or that it has its
        turn.
        """
        limit = self._limit_of.get(request.workflow_type)
        if request.not_before is not None or (limit is None and not self._counts_all):
            return request
        now = self._clock.now()
        seat = self._seats.get(workflow_id)
        if seat is None:
            lane = None if limit is None else limit.name
            if lane in self._more or self._kept[lane] >= KEPT:
                self._put_off(lane)
                return attrs.evolve(request, not_before=now)
            # Behind those that are there, also when the clock has been set back.
            seat = self._keep(workflow_id, limit, max(now, self._newest))
            self._call()
        return request if seat.ticket.has_turn else attrs.evolve(request, not_before=now)

    def look(self) -> None:
        """Starts may have become due."""
        if self._may_wait:
            self._are_more_due = True
            self._wake.set()

    def waits(self, run: Run, timer: TimerRow) -> None:
        """A start that waits is durable, with the timer that it begins by."""
        self._may_wait = True
        seat = self._seats.get(run.workflow_id)
        summary = run.projection.summary
        if seat is not None:
            seat.due = due_of(timer)
            if seat.ticket.has_turn:
                self._hand_over(seat)
        elif summary is not None and timer.fire_at <= self._clock.now():
            self._take(
                WaitingStart(run.workflow_id, summary.run_id, summary.workflow_type, timer),
                is_next=False,
            )
            self._call()

    def may_fire(self, workflow_id: WorkflowId, due: TimerDue) -> bool:
        """Is it the turn of a start whose timer is due?"""
        seat = self._seats.get(workflow_id)
        if seat is None:
            # It could not go on before, and has not been read since.
            self._to_read.update(self._types)
            self._wake.set()
            return False
        seat.due = due
        return seat.ticket.has_turn

    def started(self, started: e.WorkflowStarted) -> None:
        """A run is durable that does not wait: a new one, or one that goes on from another."""
        seat = self._seats.get(started.workflow_id)
        limit = self._limit_of.get(started.workflow_type)
        if seat is not None:
            self.began(started.workflow_id, started.recorded_at)
            if seat.ticket.limit == limit:
                return
            # It goes on as a workflow of another type, and waits for nobody.
            self.ended(started.workflow_id)
        if limit is not None or self._counts_all:
            ticket = self._limits.occupy(started.workflow_id, limit)
            self._seats[started.workflow_id] = _Seat(ticket, started.recorded_at)

    def began(self, workflow_id: WorkflowId, at: datetime) -> None:
        """It is durable that the code of a run has begun."""
        seat = self._seats.get(workflow_id)
        if seat is None or not seat.ticket.has_turn:
            return
        self._limits.begin(seat.ticket, Moment(self._clock.monotonic(), at))
        self._not_kept(seat)
        if seat.ticket.limit is None and not self._counts_all:
            self._limits.end(seat.ticket)
            del self._seats[workflow_id]
        self._call()

    def found(self, workflow_id: WorkflowId, run: Run) -> None:
        """A run has been brought into memory: what its history says counts."""
        seat = self._seats.get(workflow_id)
        if seat is None or seat.ticket.is_under_way or run.projection.last_recorded_at is None:
            return
        if not run.is_open:
            self.ended(workflow_id)
        elif run.has_begun:
            self.began(workflow_id, run.projection.last_recorded_at)

    def ended(self, workflow_id: WorkflowId) -> None:
        """A run has ended, begun or not."""
        seat = self._seats.pop(workflow_id, None)
        if seat is not None:
            is_new = not seat.ticket.is_under_way
            self._limits.end(seat.ticket)
            if is_new:
                self._not_kept(seat)
            self._call()

    def held(self, workflow_id: WorkflowId) -> None:
        """A run cannot go on here. It keeps its place if it has begun, and leaves the queue else:
        tried again it is found in the store.
        """
        seat = self._seats.get(workflow_id)
        if seat is not None and not seat.ticket.is_under_way:
            self.ended(workflow_id)

    def stop(self) -> None:
        """Nothing begins any more."""
        self._has_stopped = True

    async def run(self) -> None:
        """Read what waits, for ever."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            try:
                await self._read_due()
                await self._read()
            except StoreError as error:
                logger.warning("starts that wait cannot be read, next try in 1 s: %s", error)
                self._to_read.update(self._types)
                self._delays.set(self._delays.now() + PAUSE_AFTER_ERROR_S, self._wake.set)

    async def _read_due(self) -> None:
        """Take those that have become due since the last time."""
        if not self._are_more_due:
            return
        self._are_more_due = False
        now = self._clock.now()
        page = await self._store.waiting_starts(now, since=min(self._read_to, now), limit=KEPT)
        if len(page) == KEPT:
            self._to_read.update(self._types)
        else:
            for start in page:
                self._take(start, is_next=False)
            self._call()
        self._read_to = now

    async def _read(self) -> None:
        """Take the first ones from the store, until enough are in memory or there are no more."""
        while self._may_wait and not self._has_stopped:
            crowded = {lane for lane, kept in self._kept.items() if kept >= KEPT}
            asked = (self._more | self._to_read) - crowded
            # Who waits for nothing but the total comes before all that follow in the store.
            if not asked or None in crowded:
                return
            self._to_read -= asked
            self._put_off_meanwhile = set()
            without = [name for lane in crowded for name in self._types[lane]]
            limit = KEPT + sum(self._kept.values())
            page = await self._store.waiting_starts(self._clock.now(), without=without, limit=limit)
            if len(page) == limit:
                self._more |= asked
            else:
                self._more -= asked - self._put_off_meanwhile
            for start in page:
                self._take(start, is_next=True)
            self._call()

    def _take(self, start: WaitingStart, *, is_next: bool) -> None:
        """Keep one in memory, if there is room, and if it is the next or no others come first."""
        limit = self._limit_of.get(start.workflow_type)
        lane = None if limit is None else limit.name
        if start.workflow_id in self._seats:
            return
        if self._kept[lane] >= KEPT or (lane in self._more and not is_next):
            self._put_off(lane)
            return
        seat = self._keep(start.workflow_id, limit, start.timer.fire_at)
        seat.due = due_of(start.timer)

    def _put_off(self, lane: str | None) -> None:
        """It is left in the store until fewer of its limit are in memory."""
        self._more.add(lane)
        self._put_off_meanwhile.add(lane)

    def _keep(self, workflow_id: WorkflowId, limit: Limit | None, since: datetime) -> _Seat:
        seat = _Seat(self._limits.wait(workflow_id, limit, since), since)
        self._seats[workflow_id] = seat
        self._kept[seat.lane] += 1
        self._newest = max(self._newest, since)
        return seat

    def _not_kept(self, seat: _Seat) -> None:
        self._kept[seat.lane] -= 1
        if seat.lane in self._more and self._kept[seat.lane] < KEPT // 2:
            self._wake.set()

    def _call(self) -> None:
        """Give turns, as many as there are."""
        if self._is_calling or self._has_stopped:
            return
        self._is_calling = True
        try:
            while (ticket := self._limits.next(self._now())) is not None:
                self._hand_over(self._seats[ticket.who])
        finally:
            self._is_calling = False
        self._set_alarm()

    def _hand_over(self, seat: _Seat) -> None:
        # Without a timer the start is being decided now, or written.
        if seat.due is not None and not self._fire(seat.ticket.who, seat.due):
            self.held(seat.ticket.who)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        due = self._limits.next_due
        self._alarm = None if due is None else self._delays.set(due, self._call)

    def _now(self) -> Moment:
        return Moment(self._clock.monotonic(), self._clock.now())

    async def _learn_rates(self) -> None:
        """Find out which runs have begun lately, for limits that count them in a window."""
        windows: dict[str, tuple[float, int]] = {}
        for limit in self._limit_of.values():
            if limit.rate is not None:
                window, count = windows.get(limit.name, (0.0, 0))
                windows[limit.name] = (
                    max(window, limit.rate.window),
                    max(count, limit.rate.count),
                )
        for name, (window, count) in windows.items():
            instants = [
                at
                for workflow_type in self._types[name]
                for at in await self._begun_lately(workflow_type, count, name)
            ]
            since = self._clock.now() - timedelta(seconds=window)
            lately = [at for at in instants if at > since]
            self._limits.learn(name, window, lately, self._now())
        self._limits.take_unknown()
        self._call()

    async def _begun_lately(self, workflow_type: str, count: int, lane: str) -> list[datetime]:
        """When the last runs of a type have begun: they begin in the order of their starts, so
        those come before the first that waits.
        """
        waiting = [
            seat.since
            for seat in self._seats.values()
            if seat.lane == lane and seat.ticket.is_waiting
        ]
        listed = RunFilter(workflow_type=workflow_type, started_to=min(waiting, default=None))
        found: list[datetime] = []
        cursor: str | None = None
        edge: datetime | None = None
        while True:
            page = await self._store.list_runs(listed, limit=min(count, KEPT), cursor=cursor)
            for run in page.runs:
                if edge is not None and run.started_at < edge:
                    return found
                at = await self._begin_of(run.workflow_id)
                if at is not None:
                    found.append(at)
                    if len(found) == count:
                        # Those that were started at the same instant have no order.
                        edge = run.started_at
            cursor = page.cursor
            if cursor is None:
                return found

    async def _begin_of(self, workflow_id: WorkflowId) -> datetime | None:
        """When the code of a workflow began; None if it has not, or nobody can say."""
        seq = 1
        try:
            while page := await self._store.read_history_from(workflow_id, seq, KEPT):
                at = _begin_in(page)
                if at is not None:
                    return at
                seq += len(page)
        except CorruptHistoryError:
            pass
        return None


def _begin_in(events: Iterable[e.HistoryEvent]) -> datetime | None:
    for event in events:
        match event:
            case e.WorkflowStarted(not_before=None):
                return event.recorded_at
            case e.TimerFired() if event.timer_id == START_TIMER:
                return event.recorded_at
    return None
