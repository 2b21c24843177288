"""Limits: who waits for a limit that many share, and whose turn it is.

No clock is read here, nothing is awaited, and nothing is known of what the turns are for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from aion_core.policies import Limit
from aion_runtime.gates import FEW, Gate, Moment, Place, Stage, Ticket

__all__ = ["Limits", "Moment", "Ticket"]

Who = TypeVar("Who")


class Limits(Generic[Who]):
    """Queues before limits with names, and before a total for all of them.

    In a queue the higher priority comes first, then who has waited longer. Whoever is first waits
    for what its own limit's name allows, and keeps nobody waiting who has another name. When the
    total is what is short, the first of all has the next turn.

    A window of a rate is as long as its seconds say, its end not included: what has begun at 0 and
    is in a window of 60 seconds is not in one together with what begins at 60. A window counts from
    the real beginning, by both clocks, whichever allows less; but for a wall clock that has been
    set back behind that beginning, which tells nothing.

    Args:
        total: how many may be under way at a time, with or without a limit; None for any number.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._held = 0
        self._gates: dict[str | None, Gate[Who]] = {}
        self._sweep_at = FEW
        self._offers: list[Place[Who]] = []
        self._put_off: list[tuple[float, int, Gate[Who]]] = []
        self._unknown: list[tuple[str, float]] = []
        self._count = 0

    @property
    def total(self) -> int | None:
        """How many may be under way at a time."""
        return self._total

    @property
    def next_due(self) -> float | None:
        """The steady instant at which `next` has more to say, if nothing else happens before."""
        while self._put_off and self._put_off[0][2].due != self._put_off[0][0]:
            heapq.heappop(self._put_off)
        return self._put_off[0][0] if self._put_off else None

    def wait(
        self, who: Who, limit: Limit | None, since: datetime, priority: int = 0
    ) -> Ticket[Who]:
        """Stand in the queue. Whose turn it is then, `next` says.

        Args:
            limit: None for the total only.
            since: when the waiting began, which decides between equals. It may be long past.
            priority: the higher one comes first.
        """
        ticket = self._issue(who, limit)
        gate = ticket.gate
        heapq.heappush(gate.queue, (-priority, since, self._count, ticket))
        if limit is not None and limit.rate is not None and limit.rate.window > gate.asked:
            gate.asked = limit.rate.window
            self._unknown.append((limit.name, gate.asked))
        if gate.queue[0][3] is ticket:
            self._offer(gate)
        return ticket

    def occupy(self, who: Who, limit: Limit | None) -> Ticket[Who]:
        """Count one that is under way already, even if it is one too many. It is in no window."""
        ticket = self._issue(who, limit)
        ticket.stage = Stage.BEGUN
        ticket.gate.held += 1
        self._held += 1
        return ticket

    def next(self, now: Moment) -> Ticket[Who] | None:
        """Who has the next turn; None when there is nobody for now.

        To be asked again until then, whenever something has changed and when `next_due` has come.
        Who has a turn holds it until `end`.
        """
        if len(self._gates) >= self._sweep_at:
            self._sweep(now)
        while self._put_off and self._put_off[0][0] <= now.steady:
            due, _, gate = heapq.heappop(self._put_off)
            if gate.due == due:
                gate.due = None
                self._offer(gate)
        while self._offers and (self._total is None or self._held < self._total):
            place = heapq.heappop(self._offers)
            ticket = place[3]
            gate = ticket.gate
            if not _is_offered(ticket):
                continue
            gate.offered = None
            if gate.head() is not place:
                self._offer(gate)
                continue
            delay = gate.delay(now)
            if delay:
                self._put_off_until(gate, now.steady + delay)
            elif delay is not None:
                self._give_turn(gate)
                return ticket
        return None

    def begin(self, ticket: Ticket[Who], now: Moment) -> None:
        """It begins: its windows count from now. Told again, it is the last word that counts."""
        self.hold_back(ticket)
        if ticket.stage is Stage.HAS_TURN:
            gate = ticket.gate
            ticket.stage = Stage.BEGUN
            gate.starting -= 1
            if gate.known:
                ticket.start = now
                gate.note(now)
            # Others could not tell when they may, as long as it had not begun.
            self._offer(gate)

    def hold_back(self, ticket: Ticket[Who]) -> None:
        """It has its turn, but has not begun after all."""
        if ticket.stage is Stage.BEGUN:
            ticket.stage = Stage.HAS_TURN
            ticket.gate.starting += 1
            start, ticket.start = ticket.start, None
            if start is not None:
                ticket.gate.unnote(start)

    def end(self, ticket: Ticket[Who]) -> None:
        """It is over, or does not wait any more. Told again, nothing happens."""
        gate, stage = ticket.gate, ticket.stage
        if stage is Stage.OVER:
            return
        ticket.stage = Stage.OVER
        if stage is Stage.WAITS:
            gate.over += 1
            gate.clear_queue()
        else:
            gate.held -= 1
            self._held -= 1
            if stage is Stage.HAS_TURN:
                gate.starting -= 1
        if ticket.limit is not None:
            gate.numbers[ticket.limit] -= 1
            if not gate.numbers[ticket.limit]:
                del gate.numbers[ticket.limit]
        self._offer(gate)

    def take_unknown(self) -> list[tuple[str, float]]:
        """Names, and for how many seconds back it is to be found out who has begun: see `learn`.

        As long as that is not known nobody of that name has a turn.
        """
        unknown, self._unknown = self._unknown, []
        return unknown

    def learn(self, name: str, window: float, instants: Iterable[datetime], now: Moment) -> None:
        """Who has begun in the last ``window`` seconds, by the wall clock.

        An instant to come is taken for now: the clock has been set back since.
        """
        gate = self._gate_of(name)
        if window <= gate.known:
            return
        gate.forget_old(now)
        older = [_moment_of(each, now) for each in sorted(instants)]
        if gate.known:
            # The later ones are known, and from when they really began.
            known = timedelta(seconds=gate.known)
            older = [each for each in older if now.wall - each.wall >= known]
        gate.starts.extendleft(reversed(older))
        gate.asked = max(gate.asked, window)
        gate.known = window
        self._offer(gate)

    def _issue(self, who: Who, limit: Limit | None) -> Ticket[Who]:
        gate = self._gate_of(None if limit is None else limit.name)
        self._count += 1
        if limit is not None:
            gate.numbers[limit] = gate.numbers.get(limit, 0) + 1
        return Ticket(who, limit, gate)

    def _gate_of(self, name: str | None) -> Gate[Who]:
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate()
        return gate

    def _offer(self, gate: Gate[Who]) -> None:
        """Have it looked at whether the first in a queue has its turn."""
        head = gate.head()
        if head is None:
            gate.offered = gate.due = None
        elif gate.offered is not head[3]:
            gate.offered = head[3]
            heapq.heappush(self._offers, head)
            if len(self._offers) > 2 * len(self._gates) + FEW:
                # While the total is used up nobody looks at them.
                offers = {each[2]: each for each in self._offers if _is_offered(each[3])}
                self._offers = list(offers.values())
                heapq.heapify(self._offers)

    def _put_off_until(self, gate: Gate[Who], instant: float) -> None:
        if gate.due is not None and gate.due <= instant:
            return
        gate.due = instant
        self._count += 1
        heapq.heappush(self._put_off, (instant, self._count, gate))

    def _give_turn(self, gate: Gate[Who]) -> None:
        ticket = heapq.heappop(gate.queue)[3]
        ticket.stage = Stage.HAS_TURN
        gate.held += 1
        gate.starting += 1
        gate.due = None
        self._held += 1
        self._offer(gate)

    def _sweep(self, now: Moment) -> None:
        """Forget names that nobody uses any more."""
        for name, gate in tuple(self._gates.items()):
            gate.forget_old(now)
            if not (gate.numbers or gate.starts or gate.held or gate.head()):
                del self._gates[name]
        self._sweep_at = 2 * len(self._gates) + FEW


def _is_offered(ticket: Ticket[Any]) -> bool:
    return ticket.gate.offered is ticket


def _moment_of(instant: datetime, now: Moment) -> Moment:
    wall = min(instant, now.wall)
    return Moment(now.steady - (now.wall - wall).total_seconds(), wall)
