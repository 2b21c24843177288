"""The commit bell: wakes those in the engine's process who follow what is committed."""

from __future__ import annotations

import trio

__all__ = ["CommitBell"]


class CommitBell:
    """Rung when something has been committed, and when nothing will be any more."""

    def __init__(self) -> None:
        self._mark = object()
        self._rung: trio.Event | None = None

    def ring(self) -> None:
        """Wake those who wait. Costs nothing while nobody has asked for a mark."""
        if self._rung is not None:
            self._mark = object()
            self._rung.set()
            self._rung = None

    async def next(self, mark: object) -> object:
        """See `Port.next_commit`."""
        if self._rung is None:
            self._rung = trio.Event()
        if mark is self._mark:
            await self._rung.wait()
            # For the next ring, which changes the mark again.
            return await self.next(None)
        return self._mark
