"""The cursor: a place among the intents of a run, and its arrivals by what they answer.

It finds; it does not compare.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime

import attrs

from aion_core import events as e
from aion_core.replay.keys import CorrelationKey, key_of_event
from aion_core.replay.segment import Segment

__all__ = ["Cursor", "Placed"]


@attrs.frozen
class Placed:
    """An event at the place where it takes effect.

    Attributes:
        place: its seq; of what a reopening kept, the seq of the reopening.
        now: `recorded_at` of the arrival in force there.
    """

    event: e.HistoryEvent
    place: int
    now: datetime


class Cursor:
    """Goes over the intents of a run, once, in order.

    It looks no further into the history than it is asked to, so that a long one costs each step a
    little, and no step much.
    """

    def __init__(self, segment: Segment) -> None:
        self._unread = segment.groups()
        self._intents: deque[Placed] = deque()
        self._answers: dict[CorrelationKey, list[Placed]] = {}
        self._signals: Counter[str] = Counter()

    def peek(self) -> Placed | None:
        """The next intent that nothing has taken; None when all are taken."""
        while not self._intents and self._read():
            pass
        return self._intents[0] if self._intents else None

    def advance(self) -> None:
        """Take it."""
        self._intents.popleft()

    def answer(
        self, key: CorrelationKey, after: int = 0, at_seq: int | None = None
    ) -> Placed | None:
        """The first arrival of a key, or end of a timer, behind a place.

        Args:
            at_seq: look no further than this place.
        """
        seen = 0
        while True:
            known = self._answers.get(key, [])
            for placed in known[seen:]:
                if at_seq is not None and placed.place > at_seq:
                    return None
                if placed.place > after:
                    return placed
            seen = len(known)
            if not self._read():
                return None

    def forget(self, key: CorrelationKey) -> None:
        """Nobody is going to ask for the answers of a key any more."""
        self._answers.pop(key, None)

    def _read(self) -> bool:
        """Take in one more group; False when there is none."""
        group = next(self._unread, None)
        if group is None:
            return False
        now, place = group.now, group.head.seq
        for arrival in group.arrivals:
            key = self._key_of_arrival(arrival)
            if key is not None:
                self._answers.setdefault(key, []).append(Placed(arrival, place, now))
        for intent in group.intents:
            placed = Placed(intent, intent.seq, now)
            self._intents.append(placed)
            if isinstance(intent, e.TimerCancelled):
                key = CorrelationKey.timer(intent.timer_id)
                self._answers.setdefault(key, []).append(placed)
        return True

    def _key_of_arrival(self, arrival: e.HistoryEvent) -> CorrelationKey | None:
        if not isinstance(arrival, e.SignalReceived):
            return key_of_event(arrival)
        index = self._signals[arrival.name]
        self._signals[arrival.name] = index + 1
        return CorrelationKey.signal(arrival.name, index)
