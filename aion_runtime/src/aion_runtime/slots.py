"""Slots: what an attempt under way holds of the limits that it is under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aion_runtime.limits import Limits, Moment, Ticket

__all__ = ["Slot"]


class Slot:
    """One ticket that has had its turn, until the attempt ends.

    Args:
        now: the present.
        call: gives others their turn.
    """

    __slots__ = ("_call", "_limits", "_now", "_ticket")

    def __init__(
        self,
        limits: Limits[Any],
        ticket: Ticket[Any],
        now: Callable[[], Moment],
        call: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._ticket = ticket
        self._now = now
        self._call = call

    def begin(self) -> None:
        """The attempt really begins, now."""
        self._limits.begin(self._ticket, self._now())
        self._call()

    def hold_back(self) -> None:
        """It waits for something else after all, such as a thread."""
        self._limits.hold_back(self._ticket)

    def end(self) -> None:
        """It has ended; `pass_on` gives others their turn."""
        if self._ticket.has_turn:
            # It may stand in the store as one that has begun.
            self._limits.begin(self._ticket, self._now())
        self._limits.end(self._ticket)

    def pass_on(self) -> None:
        """Let those begin who have waited for it."""
        self._call()
