"""Residency: which of the things that rest stay in memory when there is no room for all.

GreedyDual-Size (Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms", 1997). Nothing is known
here of runs, and nothing is thrown away: it is only said what should go.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Residency"]

Key = TypeVar("Key", bound=Hashable)

FEW = 64
"""Up to so many places that do not hold any more, the heap is not worth being cleared."""


class Residency(Generic[Key]):
    """Weighs what it costs to bring a thing back against the memory that it takes.

    What rests is worth its cost per byte; the least worth goes first. To the worth of whatever
    comes to rest, that of the last one that went is added: so, of things alike, the one that has
    rested longest goes first, and in the end every one goes that is not used, however dear.

    Args:
        budget: bytes for all that is in memory, in use or not.

    Attributes:
        used: bytes of all that is in memory, as far as it has ever come to rest.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.used = 0
        # What rests has one tuple, which the heap shares: there are many of them. Its count makes
        # it unlike every other, so that keys are never compared.
        self._places: dict[Key, tuple[float, int, int, Key]] = {}
        self._heap: list[tuple[float, int, int, Key]] = []
        self._in_use: dict[Key, int] = {}
        self._count = 0
        self._floor = 0.0

    def __len__(self) -> int:
        return len(self._places) + len(self._in_use)

    def rest(self, key: Key, weight: int, cost: float) -> None:
        """It rests, and may go.

        Args:
            weight: bytes that it takes, more than 0.
            cost: of bringing it back, in whatever unit.
        """
        self.drop(key)
        self.used += weight
        self._count += 1
        place = self._floor + cost / weight, self._count, weight, key
        self._places[key] = place
        heapq.heappush(self._heap, place)
        if len(self._heap) > 2 * len(self._places) + FEW:
            self._heap = list(self._places.values())
            heapq.heapify(self._heap)

    def use(self, key: Key) -> None:
        """It is in use, and stays until it rests again."""
        place = self._places.pop(key, None)
        if place is not None:
            self._in_use[key] = place[2]

    def drop(self, key: Key) -> None:
        """It is not in memory any more."""
        self.use(key)
        self.used -= self._in_use.pop(key, 0)

    def next_to_go(self) -> Key | None:
        """What should go now, because there is too much; None when nothing should, or can."""
        while self.used > self._budget and self._heap:
            place = heapq.heappop(self._heap)
            worth, _, _, key = place
            if self._places.get(key) is place:
                self.use(key)
                self._floor = worth
                return key
        return None
