"""The resolver: holds commands against a run's history, one by one."""

from __future__ import annotations

import heapq
from operator import eq

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import NonDeterminismError
from aion_core.replay import resolutions as r
from aion_core.replay.answers import resolution_of
from aion_core.replay.cursor import Cursor, Placed
from aion_core.replay.keys import CorrelationKey, key_of
from aion_core.replay.matching import SamePayload, describe, point, same_intent
from aion_core.replay.segment import Segment

__all__ = ["Resolver"]

_AWAITS = (c.AwaitSignal, c.AwaitTimer, c.AwaitChild)

_STARTS = (c.RunActivity, c.StartTimer, c.SpawnChild)


class Resolver:
    """Answers the commands of one run from its history.

    An anchored command takes the next intent that nothing has taken. Arrivals and notes are no
    anchors, so a signal that nobody has received yet is in nobody's way.

    Args:
        same: when two stored values are the same; by default to the byte.
    """

    def __init__(self, segment: Segment, *, same: SamePayload = eq) -> None:
        self._segment = segment
        self._same = same
        self._cursor = Cursor(segment)
        # Where the last start with a key was recorded: a timer's name may be used once more.
        self._anchors: dict[CorrelationKey, int] = {}
        self._open: dict[CorrelationKey, e.HistoryEvent] = {}
        self._last = Placed(segment.started, segment.started.seq, segment.started.recorded_at)
        # The furthest that is in common before the next intent, and a heap of what lies beyond.
        self._common = self._last
        self._beyond: list[tuple[int, int, Placed]] = []
        self._reached_count = 0

    def resolve(self, command: c.Command, at_seq: int | None = None) -> r.Recorded | r.ResumeLive:
        """What history says of a command.

        A `RunActivity` without an outcome keeps its place: given again, it is asked for its
        outcome only.

        Args:
            at_seq: seq of the arrival being applied, beyond which awaits, and the outcomes of
                activities, are not answered; None for the whole history.

        Raises:
            NonDeterminismError: history holds another command at this place.
        """
        if isinstance(command, c.Park):
            return self._live()
        key = key_of(command)
        if isinstance(command, _AWAITS):
            assert key is not None
            return self._answer(key, at_seq)
        if key is None or not self._waits(command, key):
            anchor = self._take(command, key)
            if anchor is None:
                return self._live()
            if key is None or not isinstance(command, c.RunActivity):
                return r.Recorded(resolution_of(anchor.event), anchor.event.seq, anchor.now)
            self._open[key] = anchor.event
        answer = self._answer(key, at_seq)
        if isinstance(answer, r.Recorded):
            # Nobody asks for it again; a long history leaves nothing here of what is done with.
            del self._open[key], self._anchors[key]
            self._cursor.forget(key)
        return answer

    def is_open(self, command: c.Command) -> bool:
        """Has this command taken its intent, and waits for its outcome?"""
        key = key_of(command)
        return key is not None and self._waits(command, key)

    def next_intent(self) -> e.HistoryEvent | None:
        """The next intent that nothing has taken; None when all are taken."""
        anchor = self._cursor.peek()
        return None if anchor is None else anchor.event

    def divergence(self, event: e.HistoryEvent, command: c.Command) -> NonDeterminismError:
        """The error of a code that asks for something else than an event records."""
        common = self._common_before(event.seq)
        return NonDeterminismError(
            self._segment.workflow_id,
            event.seq,
            describe(event),
            describe(command),
            last_common=point(common.event),
        )

    def _waits(self, command: c.Command, key: CorrelationKey) -> bool:
        intent = self._open.get(key)
        return (
            intent is not None
            and isinstance(command, c.RunActivity)
            and same_intent(command, intent)
        )

    def _take(self, command: c.AnchoredCommand, key: CorrelationKey | None) -> Placed | None:
        anchor = self._cursor.peek()
        if anchor is None:
            return None
        if not same_intent(command, anchor.event, self._same):
            raise self.divergence(anchor.event, command)
        self._cursor.advance()
        self._common_before(anchor.place)
        self._reached(anchor)
        if key is not None and isinstance(command, _STARTS):
            self._anchors[key] = anchor.place
        return anchor

    def _answer(self, key: CorrelationKey, at_seq: int | None) -> r.Recorded | r.ResumeLive:
        found = self._cursor.answer(key, self._anchors.get(key, 0), at_seq)
        if found is None:
            return self._live()
        self._reached(found)
        return r.Recorded(resolution_of(found.event), found.event.seq, found.now)

    def _reached(self, placed: Placed) -> None:
        self._reached_count += 1
        heapq.heappush(self._beyond, (placed.place, self._reached_count, placed))
        # An answer may lie far ahead of what a concurrent branch asks for next.
        if placed.place >= self._last.place:
            self._last = placed

    def _common_before(self, seq: int) -> Placed:
        """The furthest that is in common before an intent which nothing has taken."""
        while self._beyond and self._beyond[0][0] < seq:
            _, _, placed = heapq.heappop(self._beyond)
            if placed.place > self._common.place:
                self._common = placed
        return self._common

    def _live(self) -> r.ResumeLive:
        return r.ResumeLive(self._last.now)
