"""The clock of an engine: the one place where the runtime reads the time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime

import trio

__all__ = ["Clock", "SystemClock"]

LONGEST_NAP = 30.0
"""Seconds after which a sleeper reads the wall clock again: it may have been set meanwhile."""


class Clock(ABC):
    """Wall-clock time, real or not."""

    @abstractmethod
    def now(self) -> datetime:
        """The present, aware and in UTC."""

    @abstractmethod
    async def sleep_until(self, instant: datetime) -> None:
        """Return when the instant has come; a checkpoint even when it is past."""


class SystemClock(Clock):
    """The machine's wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        while (left := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110  # no event
            await trio.sleep(min(left, LONGEST_NAP))
        await trio.lowlevel.checkpoint()
