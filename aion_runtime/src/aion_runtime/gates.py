"""Gates: the queue before one limit, and what it knows of those it has let through."""

from __future__ import annotations

import enum
import heapq
from collections import deque
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import attrs

from aion_core.policies import Limit

__all__ = ["FEW", "Gate", "Moment", "Place", "Stage", "Ticket"]

Who = TypeVar("Who")

FEW = 64
"""So many things that are over are not worth being cleared away."""


@attrs.frozen
class Moment:
    """The present, by both clocks of an engine.

    Attributes:
        steady: seconds that pass evenly.
        wall: what is recorded, and may be set.
    """

    steady: float
    wall: datetime


class Stage(enum.Enum):
    """Where a ticket is.

    ========= ==============================================================
    WAITS     in the queue
    HAS_TURN  called, not begun: it counts for every window, without an end
    BEGUN     under way; its beginning counts for the windows that it is in
    OVER      it holds nothing
    ========= ==============================================================
    """

    WAITS = enum.auto()
    HAS_TURN = enum.auto()
    BEGUN = enum.auto()
    OVER = enum.auto()


class Ticket(Generic[Who]):
    """One that waits, or has got what it has waited for. Got from `Limits`.

    Attributes:
        who: whose it is.
        limit: the numbers it was asked for with.
        gate: what it stands before, or is behind.
        stage: where it is; `Limits` moves it.
        start: when it began, as its gate has noted it.
    """

    __slots__ = ("gate", "limit", "stage", "start", "who")

    def __init__(self, who: Who, limit: Limit | None, gate: Gate[Who]) -> None:
        self.who = who
        self.limit = limit
        self.gate = gate
        self.stage = Stage.WAITS
        self.start: Moment | None = None

    @property
    def is_waiting(self) -> bool:
        """Is its turn still to come?"""
        return self.stage is Stage.WAITS

    @property
    def has_turn(self) -> bool:
        """May it begin, and has not yet?"""
        return self.stage is Stage.HAS_TURN

    @property
    def is_under_way(self) -> bool:
        """Has it begun, and not ended?"""
        return self.stage is Stage.BEGUN


Place = tuple[int, datetime, int, Ticket[Who]]
"""In a queue: what is smaller comes first. No two have the same number, so tickets are not
compared.
"""


class Gate(Generic[Who]):
    """All that share one name.

    Attributes:
        queue: a heap, with tickets in it that are over.
        over: how many of those there are.
        numbers: of all tickets that are not over, and how many have them.
        held: how many tickets have their turn, or are under way.
        starting: how many of those have not begun.
        starts: when others have begun, the newest last; as far back as `known`.
        known: seconds for which all starts are known; 0 as long as nobody has asked for a rate.
        asked: the same, once it has been found out.
        offered: the ticket at the head of the queue that its turn is to be looked at.
        due: the steady instant at which it is to be looked at again.
    """

    __slots__ = (
        "asked",
        "due",
        "held",
        "known",
        "numbers",
        "offered",
        "over",
        "queue",
        "starting",
        "starts",
    )

    def __init__(self) -> None:
        self.queue: list[Place[Who]] = []
        self.over = 0
        self.numbers: dict[Limit, int] = {}
        self.held = 0
        self.starting = 0
        self.starts: deque[Moment] = deque()
        self.known = 0.0
        self.asked = 0.0
        self.offered: Ticket[Who] | None = None
        self.due: float | None = None

    def head(self) -> Place[Who] | None:
        """The first that waits."""
        while self.queue and not self.queue[0][3].is_waiting:
            heapq.heappop(self.queue)
            self.over -= 1
        return self.queue[0] if self.queue else None

    def delay(self, now: Moment) -> float | None:
        """In how many seconds one more may begin; None when something else has to happen first.

        The strictest of all numbers counts that somebody has who waits or is under way.
        """
        delay = 0.0
        for limit in self.numbers:
            rate = limit.rate
            if limit.concurrency is not None and self.held >= limit.concurrency:
                return None
            if rate is None:
                continue
            free = rate.count - self.starting
            if rate.window > self.known or free <= 0:
                return None
            if len(self.starts) >= free:
                delay = max(delay, _left(self.starts[-free], rate.window, now))
        return delay

    def note(self, start: Moment) -> None:
        """One has begun just now."""
        self.forget_old(start)
        self.starts.append(start)

    def forget_old(self, now: Moment) -> None:
        """Drop the starts that are in no window any more."""
        while self.starts and not _left(self.starts[0], self.known, now):
            self.starts.popleft()

    def unnote(self, start: Moment) -> None:
        """That one has not begun after all. It may be forgotten already."""
        for index in reversed(range(len(self.starts))):
            if self.starts[index] is start:
                del self.starts[index]
                return

    def clear_queue(self) -> None:
        """Drop what is over, before it gathers."""
        if self.over > FEW and self.over > len(self.queue) // 2:
            self.queue = [place for place in self.queue if place[3].is_waiting]
            heapq.heapify(self.queue)
            self.over = 0


def _left(start: Moment, window: float, now: Moment) -> float:
    """For how many seconds a start is still in the window that ends now."""
    left = start.steady + window - now.steady
    if now.wall >= start.wall:
        # As instants, because what is left must not be too little for a clock to show.
        until = start.wall + timedelta(seconds=window)
        left = max(left, (until - now.wall).total_seconds())
    return max(left, 0.0)
